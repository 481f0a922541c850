//! The functions that users call, one file each.

mod assign_clusters;
mod auto_parameters;
mod cluster_embeddings;
mod cluster_summary;
mod cluster_with;
mod decision_graph;
mod dpc_cluster;
mod explain_pair;
mod kmeans_cluster;
mod knn_graph;
mod knn_methods;
mod ndde;
mod scores;
mod suggest_merges;
mod suggest_splits;
mod tau_sweep;
mod tpdi;
mod train_similarity;
mod transition_matrix;
mod version;

use duckdb_neo::Result;
use duckdb_neo::extension::Extension;
use duckdb_neo::macro_function::{MacroBody, MacroFunctionBuilder};
use duckdb_neo::signature::{FunctionDocumentationBuilder, FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType, List};

use super::plan::{Arguments, Plan};

/// A stage: one macro as an expression and one as a table, of the same name.
pub struct Stage {
    pub name: &'static str,
    pub description: &'static str,
    pub parameters: &'static [Parameter],
    /// What the table has, for the description.
    pub returns: &'static str,
    pub examples: &'static [&'static str],
    /// Example as an argument of another stage; `None` if the stage goes nowhere.
    pub nested_example: Option<&'static str>,
    pub plan: fn(&Arguments<'_>) -> Result<Plan>,
}

/// A parameter of a stage.
#[derive(Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub default: Default,
    pub description: &'static str,
}

/// The value of a parameter that is not given.
#[derive(Clone, Copy)]
pub enum Default {
    Required,
    Null,
    Integer(i32),
    Number(f64),
    Text(&'static str),
    Flag(bool),
    Numbers(&'static [f64]),
}

/// All stages.
pub static STAGES: [&Stage; 16] = [
    &knn_graph::STAGE,
    &transition_matrix::STAGE,
    &auto_parameters::STAGE,
    &ndde::STAGE,
    &tpdi::STAGE,
    &dpc_cluster::STAGE,
    &cluster_embeddings::STAGE,
    &tau_sweep::STAGE,
    &decision_graph::STAGE,
    &cluster_summary::STAGE,
    &suggest_merges::STAGE,
    &suggest_splits::STAGE,
    &assign_clusters::STAGE,
    &cluster_with::STAGE,
    &kmeans_cluster::STAGE,
    &train_similarity::STAGE,
];

/// Documentation of a function that only the SQL of a stage calls.
pub fn internal(description: &str) -> FunctionDocumentationBuilder {
    FunctionDocumentationBuilder::new()
        .description(format!("Internal to density_peaks. {description}"))
        .add_category("density_peaks_internal")
}

/// What a function's documentation and signature are made of.
struct Documented {
    description: &'static str,
    parameters: &'static [Parameter],
    returns: &'static str,
    examples: &'static [&'static str],
}

impl Documented {
    fn description(&self, form: &str) -> String {
        let parameters = self.parameters.iter().map(|parameter| {
            let default = match parameter.default {
                Default::Required => String::new(),
                Default::Null => " (default NULL)".into(),
                Default::Integer(value) => format!(" (default {value})"),
                Default::Number(value) => format!(" (default {value})"),
                Default::Text(value) => format!(" (default '{value}')"),
                Default::Flag(value) => format!(" (default {value})"),
                Default::Numbers(values) => format!(" (default {values:?})"),
            };
            format!("\n{}{default}: {}", parameter.name, parameter.description)
        });
        format!("{} {form}{}", self.description, parameters.collect::<String>())
    }

    fn signature(&self, extension: &Extension, docs: FunctionDocumentationBuilder) -> Result<SignatureBuilder> {
        let signature = self.parameters.iter().try_fold(SignatureBuilder::new(), |signature, parameter| {
            let any = FunctionParameter::with_type(parameter.name, Any::logical_type(extension)?);
            Ok::<_, duckdb_neo::Error>(signature.param(match parameter.default {
                Default::Required => any,
                Default::Null => any.default_value(None::<i32>),
                Default::Integer(value) => any.default_value(value),
                Default::Number(value) => any.default_value(value),
                Default::Text(value) => any.default_value(value.to_owned()),
                Default::Flag(value) => any.default_value(value),
                Default::Numbers(values) => any.default_value(List(values.iter().copied().map(Some).collect())),
            }))
        })?;
        Ok(signature.documentation(docs.add_category("density_peaks")))
    }

    /// Of the table macro.
    fn table_signature(&self, extension: &Extension) -> Result<SignatureBuilder> {
        let docs = FunctionDocumentationBuilder::new().description(self.description(self.returns));
        self.signature(extension, self.examples.iter().fold(docs, |docs, example| docs.add_example("", *example)))
    }
}

impl Stage {
    fn documented(&self) -> Documented {
        let Self { description, parameters, returns, examples, .. } = *self;
        Documented { description, parameters, returns, examples }
    }

    fn register(&self, extension: &Extension) -> Result<()> {
        let documented = self.documented();
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name).collect();
        let plan = format!("density_peaks_plan('{}', {})", self.name, names.join(", "));
        if let Some(example) = self.nested_example {
            let form = "As an argument of another stage it is computed when that one is.";
            let docs = FunctionDocumentationBuilder::new().description(documented.description(form));
            let signature = documented.signature(extension, docs.add_example("", example))?;
            MacroFunctionBuilder::new(self.name, signature, MacroBody::Scalar(plan.clone())).register(extension)?;
        }
        let body = MacroBody::Table(format!("FROM query(density_peaks_sql({plan}))"));
        MacroFunctionBuilder::new(self.name, documented.table_signature(extension)?, body).register(extension)
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    STAGES.iter().try_for_each(|stage| stage.register(extension))?;
    knn_methods::register(extension)?;
    scores::register(extension)?;
    explain_pair::register(extension)?;
    version::register(extension)
}
