//! The engine's functions as macros, with their documentation. A function that can be nested is a macro
//! of two kinds with one name: as an expression a plan, as a table that plan turned to SQL.

use std::sync::Arc;

use duckdb_neo::Result;
use duckdb_neo::enums::{FunctionProperty, FunctionPropertyStability};
use duckdb_neo::extension::Extension;
use duckdb_neo::macro_function::{MacroBody, MacroFunctionBuilder};
use duckdb_neo::scalar::ScalarFunctionBuilder;
use duckdb_neo::signature::{FunctionDocumentationBuilder, FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType, List};

use super::arguments::{plan_type, program};
use super::scalar::{NumberOf, TextOf};
use super::slot::{live_slots, new_token};
use super::sql::sql;
use crate::engine::limits::Ledger;
use crate::engine::operators::FUNCTIONS;
use crate::engine::parameter::{DefaultValue, Described};
use crate::engine::plan::Function;

/// Documentation of a function that only the SQL of another calls.
pub fn internal(description: &str) -> FunctionDocumentationBuilder {
    FunctionDocumentationBuilder::new()
        .description(format!("Internal to density_peaks. {description}"))
        .add_category("density_peaks_internal")
}

/// What a macro's documentation and signature are made of.
pub struct Documented<'a> {
    pub description: &'a str,
    pub parameters: &'a [&'a dyn Described],
    /// What follows the description.
    pub form: &'a str,
    pub examples: &'a [&'a str],
}

impl Documented<'_> {
    fn description(&self) -> String {
        let parameters = self.parameters.iter().map(|parameter| {
            let default = match parameter.default() {
                DefaultValue::Required => String::new(),
                DefaultValue::Null => " (default NULL)".into(),
                DefaultValue::Integer(value) => format!(" (default {value})"),
                DefaultValue::Number(value) => format!(" (default {value})"),
                DefaultValue::Text(value) => format!(" (default '{value}')"),
                DefaultValue::Flag(value) => format!(" (default {value})"),
                DefaultValue::Numbers(values) => format!(" (default {values:?})"),
            };
            format!("\n{}{default}: {}", parameter.name(), parameter.description())
        });
        format!("{} {}{}", self.description, self.form, parameters.collect::<String>())
    }

    pub fn signature(&self, extension: &Extension) -> Result<SignatureBuilder> {
        let signature = self.parameters.iter().try_fold(SignatureBuilder::new(), |signature, parameter| {
            let any = FunctionParameter::with_type(parameter.name(), Any::logical_type(extension)?);
            Ok::<_, duckdb_neo::Error>(signature.param(match parameter.default() {
                DefaultValue::Required => any,
                DefaultValue::Null => any.default_value(None::<i32>),
                DefaultValue::Integer(value) => any.default_value(value),
                DefaultValue::Number(value) => any.default_value(value),
                DefaultValue::Text(value) => any.default_value(value.to_owned()),
                DefaultValue::Flag(value) => any.default_value(value),
                DefaultValue::Numbers(values) => any.default_value(List(values.iter().copied().map(Some).collect())),
            }))
        })?;
        let docs = FunctionDocumentationBuilder::new().description(self.description());
        let docs = self.examples.iter().fold(docs, |docs, example| docs.add_example("", *example));
        Ok(signature.documentation(docs.add_category("density_peaks")))
    }
}

fn register_function(function: &Function, extension: &Extension) -> Result<()> {
    let Function { name, description, returns, parameters, examples, nested_example, .. } = *function;
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name()).collect();
    let call = format!("'{name}', {}", names.join(", "));
    if let Some(example) = nested_example {
        let form = "As an argument of another stage it is computed when that one is.";
        let signature = Documented { description, parameters, form, examples: &[example] }.signature(extension)?;
        let body = MacroBody::Scalar(format!("density_peaks_plan({call})"));
        MacroFunctionBuilder::new(name, signature, body).register(extension)?;
    }
    let signature = Documented { description, parameters, form: returns, examples }.signature(extension)?;
    let body = MacroBody::Table(format!("FROM query(density_peaks_sql({call}))"));
    MacroFunctionBuilder::new(name, signature, body).register(extension)
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = |returned, description| {
        Ok::<_, duckdb_neo::Error>(
            SignatureBuilder::new()
                .param(FunctionParameter::new::<String>("function"))
                .param(FunctionParameter::vararg::<Any>("arguments"))
                .return_type(returned)
                .documentation(internal(description)),
        )
    };
    let plan = signature(plan_type(extension)?, "A stage and its arguments, not yet run.")?;
    let of_plan = TextOf(|context, values| Ok(program(context, values)?.0.to_json()));
    ScalarFunctionBuilder::new("density_peaks_plan", plan, of_plan)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .register(extension)?;
    let run = signature(String::logical_type(extension)?, "The SQL that runs a stage.")?;
    // Each call has another token, so it is not consistent.
    let of_run = TextOf(|context, values| {
        let (program, plan) = program(context, values)?;
        sql(new_token(), &program, &plan)
    });
    ScalarFunctionBuilder::new("density_peaks_sql", run, of_run)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .set_property(FunctionProperty::Stability(FunctionPropertyStability::ConsistentWithinQuery))
        .register(extension)?;
    FUNCTIONS.iter().try_for_each(|function| register_function(function, extension))
}

/// `density_peaks_version()`.
pub fn register_version(extension: &Extension) -> Result<()> {
    let docs = FunctionDocumentationBuilder::new()
        .description("Version of the density_peaks extension.")
        .add_example("", "SELECT density_peaks_version()")
        .add_category("density_peaks");
    let signature = SignatureBuilder::new().return_type(String::logical_type(extension)?).documentation(docs);
    let version = TextOf(|_, _| Ok(env!("CARGO_PKG_VERSION").into()));
    ScalarFunctionBuilder::new("density_peaks_version", signature, version).register(extension)
}

/// `density_peaks_slots()`: the slots that are alive, for tests.
pub fn register_slots(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .return_type(i64::logical_type(extension)?)
        .documentation(internal("Number of statements that hold memory of density_peaks at the moment."));
    ScalarFunctionBuilder::new("density_peaks_slots", signature, NumberOf(live_slots))
        .set_property(FunctionProperty::Stability(FunctionPropertyStability::Volatile))
        .register(extension)
}

/// `density_peaks_memory()`: the most that all statements of the database held at once since it was last asked, for
/// tests and benchmarks.
pub fn register_memory(extension: &Extension, ledger: Arc<Ledger>) -> Result<()> {
    let signature = SignatureBuilder::new()
        .return_type(i64::logical_type(extension)?)
        .documentation(internal("Bytes that all statements of density_peaks held at most since it was last asked."));
    ScalarFunctionBuilder::new("density_peaks_memory", signature, NumberOf(move || ledger.most() as i64))
        .set_property(FunctionProperty::Stability(FunctionPropertyStability::Volatile))
        .register(extension)
}
