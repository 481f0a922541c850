//! The arguments of a call as the engine takes them, and stages as values: a call that is not yet run
//! is a VARCHAR under the alias [`TYPE_NAME`], its text the engine's program. The alias tells it from
//! the name of a relation.

use duckdb_neo::Result;
use duckdb_neo::connection::{Context, FFILink};
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::types::{DuckDBType, List};
use duckdb_neo::value::Value;

use super::errors::{by_hand, refused};
use crate::engine::argument::{self, Argument};
use crate::engine::operators::FUNCTIONS;
use crate::engine::plan::{Given, Plan, Program};

/// Name of the type of a stage that is not yet run.
const TYPE_NAME: &str = "density_peaks_plan";

/// The type of a stage that is not yet run.
pub fn plan_type(link: &impl FFILink) -> Result<LogicalType> {
    String::logical_type(link)?.with_alias(link, TYPE_NAME)
}

/// The call of a function, the first of the values, with the others as its arguments.
pub fn program(context: &Context, values: Vec<Value>) -> Result<(Program, Plan)> {
    let mut values = values.into_iter();
    let name = values.next().map(|name| name.get::<String>()).transpose()?.flatten().unwrap_or_default();
    let function = FUNCTIONS.iter().find(|function| function.name == name);
    let function = function.ok_or_else(by_hand)?;
    let given = values.map(|value| given(&value, context)).collect::<Result<_>>()?;
    Program::new(&FUNCTIONS, function, given).map_err(refused)
}

/// The plan of a program that was written down.
pub fn plan(json: &str) -> Result<Plan> {
    Program::from_json(json).and_then(|program| program.plan(&FUNCTIONS)).map_err(refused)
}

/// A value as an argument.
pub fn given(value: &Value, context: &Context) -> Result<Given> {
    use argument::Value as Read;
    let logical_type = value.logical_type()?;
    let read = if value.is_null()? {
        Read::Null
    } else {
        match logical_type.id()? {
            LogicalTypeID::Varchar => {
                let text = value.get::<String>()?.unwrap_or_default();
                if logical_type.name()? == TYPE_NAME {
                    return Program::from_json(&text).map(Given::Program).map_err(refused);
                }
                Read::Text(text)
            }
            LogicalTypeID::Boolean => value.get::<bool>()?.map_or(Read::Null, Read::Flag),
            LogicalTypeID::List | LogicalTypeID::Array if logical_type.to_text()?.starts_with("VARCHAR[") => {
                let texts = value.cast(context, &List::<String>::logical_type(context)?)?.get::<List<String>>()?;
                let texts = texts.and_then(|list| list.0.into_iter().collect::<Option<Vec<String>>>());
                texts.map_or(Read::Other(argument::Other {}), Read::Texts)
            }
            LogicalTypeID::List | LogicalTypeID::Array => {
                let numbers = value.cast(context, &List::<f64>::logical_type(context)?).ok();
                let numbers = numbers.map(|value| value.get::<List<f64>>()).transpose()?.flatten();
                let numbers = numbers.and_then(|list| list.0.into_iter().collect::<Option<Vec<f64>>>());
                numbers.map_or(Read::Other(argument::Other {}), Read::Numbers)
            }
            _ => {
                let number = value.cast(context, &f64::logical_type(context)?).ok();
                let number = number.map(|value| value.get::<f64>()).transpose()?.flatten();
                number.map_or(Read::Other(argument::Other {}), Read::Number)
            }
        }
    };
    Ok(Given::Value(Argument { value: read, text: value.to_string() }))
}
