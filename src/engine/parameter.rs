//! Parameters: each says once its name, its default, what it takes and what it is for.

use super::argument::{Argument, Value};

/// A parameter that takes a `T`.
#[derive(Clone, Copy)]
pub struct Parameter<T> {
    pub name: &'static str,
    pub default: DefaultValue,
    pub takes: T,
    pub description: &'static str,
}

/// The value of a parameter that is not given.
#[derive(Clone, Copy)]
pub enum DefaultValue {
    Required,
    Null,
    Integer(i32),
    Number(f64),
    Text(&'static str),
    Flag(bool),
    Numbers(&'static [f64]),
}

/// A parameter of any type, to be listed and described.
pub trait Described: Sync {
    fn name(&self) -> &'static str;
    fn default(&self) -> DefaultValue;
    fn description(&self) -> String;
}

impl<T: Takes + Sync> Described for Parameter<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default(&self) -> DefaultValue {
        self.default
    }

    fn description(&self) -> String {
        match &*self.takes.choices().join(", ") {
            "" => self.description.into(),
            choices => format!("{}: {choices}", self.description),
        }
    }
}

/// What is wrong with an argument: the end of the sentence that its parameter's name begins.
pub type Wrong = String;

/// What a parameter takes.
pub trait Takes {
    type Given;

    /// Read an argument that is not NULL.
    ///
    /// # Errors
    /// With the sentence that goes on after the parameter's name.
    fn read(&self, argument: &Argument) -> Result<Self::Given, Wrong>;

    /// Read NULL.
    ///
    /// # Errors
    /// Likewise.
    fn null(&self) -> Result<Self::Given, Wrong> {
        Err("must not be NULL".into())
    }

    /// The names that it takes, each with its meaning, where it takes names.
    fn choices(&self) -> Vec<String> {
        vec![]
    }
}

/// That an argument must be something else.
fn must_be(what: &str, argument: &Argument) -> Wrong {
    match argument.value {
        Value::Text(_) => format!("must be {what}, got '{}'", argument.text),
        // The text of a stage is how it is called.
        Value::Stage { .. } => format!("must be {what}, not {}", argument.text),
        // What `name = value` is to SQL.
        Value::Flag(_) => format!("must be {what}, got {}; a named argument is written name := value", argument.text),
        _ => format!("must be {what}, got {}", argument.text),
    }
}

fn text<'a>(argument: &'a Argument, what: &str) -> Result<&'a str, Wrong> {
    match &argument.value {
        Value::Text(text) => Ok(text),
        _ => Err(must_be(what, argument)),
    }
}

/// A number of which `valid` says whether it is in the range, with words for both.
#[derive(Clone, Copy)]
pub struct Number {
    pub is: &'static str,
    pub range: &'static str,
    pub valid: fn(f64) -> bool,
}

/// A finite number above 0.
pub const ABOVE_0: Number =
    Number { is: "a number", range: "a finite number above 0", valid: |x| x > 0.0 && x.is_finite() };

/// A finite number of at least 0.
pub const AT_LEAST_0: Number =
    Number { is: "a number", range: "a finite number of at least 0", valid: |x| x >= 0.0 && x.is_finite() };

impl Number {
    fn check(&self, number: f64) -> Result<f64, Wrong> {
        if (self.valid)(number) { Ok(number) } else { Err(format!("must be {}, got {number}", self.range)) }
    }
}

impl Takes for Number {
    type Given = f64;

    fn read(&self, argument: &Argument) -> Result<f64, Wrong> {
        match argument.value {
            Value::Number(number) => self.check(number),
            _ => Err(must_be(self.is, argument)),
        }
    }
}

/// A number, or 'auto', which is `None`.
#[derive(Clone, Copy)]
pub struct OrAuto(pub Number);

impl Takes for OrAuto {
    type Given = Option<f64>;

    fn read(&self, argument: &Argument) -> Result<Option<f64>, Wrong> {
        match &argument.value {
            Value::Number(number) => self.0.check(*number).map(Some),
            Value::Text(text) if text.eq_ignore_ascii_case("auto") => Ok(None),
            _ => Err(must_be(&format!("{} or 'auto'", self.0.is), argument)),
        }
    }
}

/// A list of numbers, at least one, each within the range.
#[derive(Clone, Copy)]
pub struct Numbers(pub Number);

impl Takes for Numbers {
    type Given = Vec<f64>;

    fn read(&self, argument: &Argument) -> Result<Vec<f64>, Wrong> {
        match &argument.value {
            Value::Numbers(numbers) if !numbers.is_empty() => {
                numbers.iter().map(|&number| self.0.check(number)).collect()
            }
            _ => Err(must_be("a list of numbers, at least one", argument)),
        }
    }
}

/// A whole number of at least this, and at most what 32 bits hold.
#[derive(Clone, Copy)]
pub struct Count(pub u32);

impl Count {
    fn what(self) -> String {
        format!("a whole number of at least {}", self.0)
    }
}

impl Takes for Count {
    type Given = usize;

    fn read(&self, argument: &Argument) -> Result<usize, Wrong> {
        let Value::Number(number) = argument.value else { return Err(must_be("a number", argument)) };
        if number.fract() != 0.0 || !number.is_finite() || number < f64::from(self.0) {
            return Err(must_be(&self.what(), argument));
        }
        if number > f64::from(u32::MAX) {
            return Err(must_be(&format!("at most {}", u32::MAX), argument));
        }
        Ok(number as usize)
    }
}

/// True or false.
#[derive(Clone, Copy)]
pub struct Flag;

impl Takes for Flag {
    type Given = bool;

    fn read(&self, argument: &Argument) -> Result<bool, Wrong> {
        match argument.value {
            Value::Flag(flag) => Ok(flag),
            _ => Err(must_be("true or false", argument)),
        }
    }
}

/// True or false, or 'auto', which is `None`.
#[derive(Clone, Copy)]
pub struct FlagOrAuto;

impl Takes for FlagOrAuto {
    type Given = Option<bool>;

    fn read(&self, argument: &Argument) -> Result<Option<bool>, Wrong> {
        match &argument.value {
            Value::Flag(flag) => Ok(Some(*flag)),
            Value::Text(text) if text.eq_ignore_ascii_case("auto") => Ok(None),
            _ => Err(must_be("true, false or 'auto'", argument)),
        }
    }
}

/// One of a list of names.
pub struct Choice<T>(pub fn() -> Vec<Chosen<T>>);

/// A name, what it stands for, and its meaning in a few words, or nothing.
pub type Chosen<T> = (&'static str, T, &'static str);

impl<T> Clone for Choice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Choice<T> {}

impl<T> Takes for Choice<T> {
    type Given = T;

    fn read(&self, argument: &Argument) -> Result<T, Wrong> {
        let choices = self.0();
        let names: Vec<String> = choices.iter().map(|(name, ..)| format!("'{name}'")).collect();
        let what = format!("one of {}", names.join(", "));
        let text = text(argument, &what)?;
        let choice = choices.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
        choice.map(|(_, choice, _)| choice).ok_or_else(|| must_be(&what, argument))
    }

    fn choices(&self) -> Vec<String> {
        let choice = |(name, _, meaning): Chosen<T>| match meaning {
            "" => format!("'{name}'"),
            meaning => format!("'{name}' ({meaning})"),
        };
        self.0().into_iter().map(choice).collect()
    }
}

/// The name of a column.
#[derive(Clone, Copy)]
pub struct ColumnName;

impl Takes for ColumnName {
    type Given = String;

    fn read(&self, argument: &Argument) -> Result<String, Wrong> {
        let way_out = match argument.value {
            Value::Texts(_) => "; several make one in a view: SELECT *, (a, b) AS both",
            _ => "",
        };
        text(argument, "a text").map(Into::into).map_err(|wrong| wrong + way_out)
    }
}

/// The name of a column, or a list of such names, at least one.
#[derive(Clone, Copy)]
pub struct ColumnNames;

impl Takes for ColumnNames {
    type Given = Vec<String>;

    fn read(&self, argument: &Argument) -> Result<Vec<String>, Wrong> {
        match &argument.value {
            Value::Text(name) => Ok(vec![name.clone()]),
            Value::Texts(names) if !names.is_empty() => Ok(names.clone()),
            _ => Err(must_be("a text or a list of texts", argument)),
        }
    }
}

/// The path of a file.
#[derive(Clone, Copy)]
pub struct Path;

impl Takes for Path {
    type Given = String;

    fn read(&self, argument: &Argument) -> Result<String, Wrong> {
        const WHAT: &str = "the path of a file";
        let path = text(argument, WHAT)?;
        if path.is_empty() { Err(must_be(WHAT, argument)) } else { Ok(path.into()) }
    }
}

/// The name of a relation.
#[derive(Clone, Copy)]
pub struct RelationName {
    pub is: &'static str,
}

/// One row a point.
pub const OF_POINTS: RelationName = RelationName { is: "the name of a relation with one row a point" };

impl Takes for RelationName {
    type Given = String;

    fn read(&self, argument: &Argument) -> Result<String, Wrong> {
        match &argument.value {
            Value::Stage { .. } => Err(format!("takes {}, not {}", self.is, argument.text)),
            _ => {
                let name = text(argument, self.is)?;
                if is_query(name) {
                    let way_out = "name it first: WITH rows AS (SELECT ...) FROM function('rows')";
                    return Err(format!("takes {}, not a query; {way_out}", self.is));
                }
                Ok(name.into())
            }
        }
    }
}

/// What the names of files end in that DuckDB reads by their names.
const FILES: [&str; 9] = [".parquet", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".gz", ".zst"];

/// Whether a text is SQL where a name should be. A file may be named like a sentence: `select them.parquet`.
fn is_query(text: &str) -> bool {
    let text = text.trim().trim_start_matches(['(', ' ', '\n', '\t']).to_ascii_lowercase();
    let begins = |word: &str| text.strip_prefix(word).is_some_and(|rest| rest.starts_with(char::is_whitespace));
    let begins_with_parts = || (begins("with") || begins("values")) && text.contains('(');
    !FILES.iter().any(|end| text.ends_with(end)) && (begins("select") || begins("from") || begins_with_parts())
}

/// Anything of these, or NULL, which is `None`.
#[derive(Clone, Copy)]
pub struct OrNull<T>(pub T);

impl<T: Takes> Takes for OrNull<T> {
    type Given = Option<T::Given>;

    fn read(&self, argument: &Argument) -> Result<Option<T::Given>, Wrong> {
        self.0.read(argument).map(Some)
    }

    fn null(&self) -> Result<Option<T::Given>, Wrong> {
        Ok(None)
    }

    fn choices(&self) -> Vec<String> {
        self.0.choices()
    }
}

/// A nested call of a function, or the name of a relation with the columns that it gives.
#[derive(Clone, Copy)]
pub struct StageOrRelation {
    pub function: &'static str,
    pub columns: &'static str,
}

/// What was given where a stage or a relation may be.
pub enum StageOrName {
    /// The nested call, by its place in the program.
    Stage(usize),
    Relation(String),
}

impl StageOrRelation {
    /// What it takes, in words.
    pub fn what(&self) -> String {
        format!("{}(...) or the name of a relation with columns {}", self.function, self.columns)
    }
}

impl Takes for StageOrRelation {
    type Given = StageOrName;

    fn read(&self, argument: &Argument) -> Result<StageOrName, Wrong> {
        match &argument.value {
            Value::Stage { call } => Ok(StageOrName::Stage(*call)),
            _ => text(argument, &self.what()).map(|name| StageOrName::Relation(name.into())),
        }
    }
}
