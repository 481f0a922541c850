//! The arguments of a stage's call, each read as what it should be, or an error that says so.

use duckdb_neo::Result;
use duckdb_neo::connection::Context;
use duckdb_neo::logical_type::LogicalTypeID;
use duckdb_neo::types::{DuckDBType, List};
use duckdb_neo::value::Value;

use super::super::functions::Stage;
use super::super::{binder, defect, invalid};
use super::{Input, Plan, TYPE_NAME};

/// The arguments of one call of a stage, all given or by default.
pub struct Arguments<'a> {
    stage: &'static Stage,
    values: Vec<Value>,
    context: &'a Context,
}

impl<'a> Arguments<'a> {
    pub fn new(stage: &'static Stage, values: Vec<Value>, context: &'a Context) -> Self {
        Self { stage, values, context }
    }

    /// Name of the function that was called.
    pub fn name(&self) -> &'static str {
        self.stage.name
    }

    /// An error about this call.
    pub fn error(&self, message: impl std::fmt::Display) -> duckdb_neo::Error {
        invalid(format!("{}: {message}", self.stage.name))
    }

    fn value(&self, name: &str) -> Result<&Value> {
        let at = self.stage.parameters.iter().position(|parameter| parameter.name == name);
        at.and_then(|at| self.values.get(at)).ok_or_else(|| defect(format!("{} has no {name}", self.stage.name)))
    }

    /// Whether a parameter is not NULL.
    pub fn is_given(&self, name: &str) -> Result<bool> {
        Ok(!self.value(name)?.is_null()?)
    }

    fn required(&self, name: &str) -> Result<&Value> {
        let value = self.value(name)?;
        if value.is_null()? { Err(self.error(format!("{name} must not be NULL"))) } else { Ok(value) }
    }

    /// The plan, where a stage was given.
    fn stage_given(&self, value: &Value) -> Result<Option<Plan>> {
        let logical_type = value.logical_type()?;
        if logical_type.id()? != LogicalTypeID::Varchar || logical_type.name()? != TYPE_NAME {
            return Ok(None);
        }
        value.get::<String>()?.map(|json| Plan::from_json(&json)).transpose()
    }

    /// An error about an argument: what it must be, and what it is.
    fn must_be(&self, name: &str, what: &str, value: &Value) -> duckdb_neo::Error {
        match self.stage_given(value) {
            Ok(Some(plan)) => self.error(format!("{name} must be {what}, not {}(...)", plan.name())),
            _ if value.logical_type().and_then(|t| t.id()).is_ok_and(|id| id == LogicalTypeID::Varchar) => {
                self.error(format!("{name} must be {what}, got '{value}'"))
            }
            _ => self.error(format!("{name} must be {what}, got {value}")),
        }
    }

    /// The name of a column.
    pub fn column(&self, name: &str) -> Result<String> {
        let column = self.text_of(name, "a text", self.required(name)?)?;
        if column.is_empty() {
            return Err(binder(format!("{}: {name} := '' names no column", self.stage.name)));
        }
        Ok(column)
    }

    /// The name of a column; `None` for NULL.
    pub fn optional_column(&self, name: &str) -> Result<Option<String>> {
        if self.value(name)?.is_null()? { Ok(None) } else { self.column(name).map(Some) }
    }

    /// The name of a relation.
    pub fn relation(&self, name: &str) -> Result<String> {
        self.optional_relation(name)?.ok_or_else(|| self.error(format!("{name} must not be NULL")))
    }

    /// The name of a relation; `None` for NULL.
    pub fn optional_relation(&self, name: &str) -> Result<Option<String>> {
        self.optional_relation_of(name, "the name of a relation with one row a point")
    }

    /// Likewise, of a relation that has not one row a point but `what` says.
    pub fn optional_relation_of(&self, name: &str, what: &str) -> Result<Option<String>> {
        let value = self.value(name)?;
        if value.is_null()? {
            return Ok(None);
        }
        match self.stage_given(value)? {
            None => self.text_of(name, what, value).map(Some),
            Some(plan) => Err(self.error(format!("{name} takes {what}, not {}(...)", plan.name()))),
        }
    }

    /// The path of a file; `None` for NULL.
    pub fn optional_file(&self, name: &str) -> Result<Option<String>> {
        let value = self.value(name)?;
        let what = "the path of a file";
        if value.is_null()? {
            return Ok(None);
        }
        let file = self.text_of(name, what, value)?;
        if file.is_empty() { Err(self.must_be(name, what, value)) } else { Ok(Some(file)) }
    }

    fn text_of(&self, name: &str, what: &str, value: &Value) -> Result<String> {
        let text = match value.logical_type()?.id()? {
            LogicalTypeID::Varchar if self.stage_given(value)?.is_none() => value.get::<String>()?,
            _ => None,
        };
        text.ok_or_else(|| self.must_be(name, what, value))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<f64> {
        let value = self.required(name)?;
        let number = match value.logical_type()?.id()? {
            LogicalTypeID::Varchar | LogicalTypeID::Boolean => None,
            _ => value.cast(self.context, &f64::logical_type(self.context)?).ok(),
        };
        let number = number.map(|value| value.get::<f64>()).transpose()?.flatten();
        number.ok_or_else(|| self.must_be(name, "a number", value))
    }

    /// A finite number; `None` for 'auto'.
    pub fn number_or_auto(&self, name: &str, what: &str) -> Result<Option<f64>> {
        let value = self.required(name)?;
        let what = format!("{what} or 'auto'");
        if value.logical_type()?.id()? != LogicalTypeID::Varchar {
            return self.number(name).map(Some).map_err(|_| self.must_be(name, &what, value));
        }
        let text = self.text_of(name, &what, value)?;
        if text.eq_ignore_ascii_case("auto") { Ok(None) } else { Err(self.must_be(name, &what, value)) }
    }

    /// A list of numbers, at least one.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let value = self.required(name)?;
        let numbers = match value.logical_type()?.id()? {
            LogicalTypeID::List | LogicalTypeID::Array => {
                value.cast(self.context, &List::<f64>::logical_type(self.context)?).ok()
            }
            _ => None,
        };
        let numbers = numbers.map(|value| value.get::<List<f64>>()).transpose()?.flatten();
        let numbers = numbers.and_then(|list| list.0.into_iter().collect::<Option<Vec<f64>>>());
        numbers
            .filter(|list| !list.is_empty())
            .ok_or_else(|| self.must_be(name, "a list of numbers, at least one", value))
    }

    /// A whole number of at least `least`, and at most what 32 bits hold.
    pub fn count(&self, name: &str, least: usize) -> Result<usize> {
        let (number, value) = (self.number(name)?, self.required(name)?);
        if number.fract() != 0.0 || !number.is_finite() || number < least as f64 {
            return Err(self.must_be(name, &format!("a whole number of at least {least}"), value));
        }
        if number > f64::from(u32::MAX) {
            return Err(self.must_be(name, &format!("at most {}", u32::MAX), value));
        }
        Ok(number as usize)
    }

    /// True or false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let value = self.required(name)?;
        let flag = match value.logical_type()?.id()? {
            LogicalTypeID::Boolean => value.get::<bool>()?,
            _ => None,
        };
        flag.ok_or_else(|| self.must_be(name, "true or false", value))
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> Result<String> {
        let what = "the path of a file";
        let path = self.text_of(name, what, self.required(name)?)?;
        if path.is_empty() { Err(self.error(format!("{name} must be {what}, got ''"))) } else { Ok(path) }
    }

    /// One of a list of names.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let names: Vec<String> = choices.iter().map(|choice| format!("'{}'", choice.0)).collect();
        let what = format!("one of {}", names.join(", "));
        let text = self.text_of(name, &what, self.required(name)?)?;
        let choice = choices.iter().find(|choice| choice.0.eq_ignore_ascii_case(&text));
        choice.map(|choice| choice.1).ok_or_else(|| self.error(format!("{name} must be {what}, got '{text}'")))
    }

    /// A relation, or a stage that gives what `name` takes.
    pub fn input(&self, name: &str, takes: &str, columns: &str) -> Result<Input> {
        let value = self.required(name)?;
        let what = format!("{takes}(...) or the name of a relation with columns {columns}");
        match self.stage_given(value)? {
            None => self.text_of(name, &what, value).map(Input::Relation),
            Some(plan) if plan.name() == takes => Ok(Input::Stage(Box::new(plan))),
            Some(plan) => Err(self.error(format!("{name} takes {what}, not {}(...)", plan.name()))),
        }
    }
}
