//! The learned models of a statement: read through DuckDB's file system, so that its settings and
//! remote files hold, and checked when the statement is bound.

use std::path::Path;
use std::sync::Arc;

use duckdb_neo::connection::{Context, SettingScope};
use duckdb_neo::custom_option::{CustomOptionBuilder, CustomOptionCallbacks};
use duckdb_neo::extension::Extension;
use duckdb_neo::file::{FileBuilder, FileSystem};
use duckdb_neo::types::DuckDBType;
use duckdb_neo::value::Value;
use duckdb_neo::{Result, ToValue};

use super::memory::{Limits, bytes_text};
use super::plan::{Input, LearnedModel, Plan, TransitionMatrix};
use super::sql::{Columns, Relation};
use super::{binder, invalid};
use crate::core::error::Error;
use crate::model::{Model, Runtime};

/// Name of the setting that names the library.
const SETTING: &str = "density_peaks_onnxruntime";

/// Each model file of a plan, open.
#[derive(Debug, Clone, Default)]
pub struct Models(Vec<(String, Arc<Model>)>);

impl Models {
    pub fn open(plan: &Plan, limits: Limits, context: &Context) -> Result<Self> {
        let mut models = Self::default();
        for (stage, learned) in plan.learned() {
            if models.get(&learned.file).is_none() {
                models.0.push((learned.file.clone(), Arc::new(open(learned, limits, context)?)));
            }
            if let Some(model) = models.get(&learned.file) {
                check_metric(stage, learned, model)?;
            }
        }
        Ok(models)
    }

    pub fn get(&self, file: &str) -> Option<&Arc<Model>> {
        self.0.iter().find(|model| model.0 == file).map(|model| &model.1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuse embeddings of a relation that a model of the plan does not take: of `dim` dimensions,
    /// where that is known.
    pub fn check_dim(&self, plan: &Plan, relation: &Relation, dim: usize) -> std::result::Result<(), String> {
        for (stage, learned) in plan.learned() {
            let Some(takes) = self.get(&learned.file).map(|model| model.contract().dim) else { continue };
            let reads = Relation::read_by_model(stage, learned).iter().any(|read| read.same(relation));
            if let Columns::Points { embedding, .. } = &relation.columns
                && reads
                && takes != dim
            {
                let LearnedModel { function, file, .. } = learned;
                let Relation { argument, name, .. } = relation;
                return Err(format!(
                    "{function}: the model '{file}' takes {takes}-dimensional embeddings, but column \"{embedding}\" of \
                     {argument} \"{name}\" has {dim}"
                ));
            }
        }
        Ok(())
    }
}

/// An error about a model as the user reads it.
pub fn message(learned: &LearnedModel, error: &Error) -> String {
    let LearnedModel { function, file, .. } = learned;
    match error {
        Error::Model(reason) => format!("{function}: the model '{file}' cannot be used: {reason}"),
        other => format!("{function}: {other}"),
    }
}

fn open(learned: &LearnedModel, limits: Limits, context: &Context) -> Result<Model> {
    let file = read(learned, limits, context)?;
    let library = context.config()?.get_value(SETTING)?.0.get::<String>()?.filter(|path| !path.is_empty());
    let runtime = Runtime::load(library.as_deref().map(Path::new));
    runtime
        .and_then(|runtime| Model::open(file, runtime, limits.memory))
        .map_err(|error| invalid(message(learned, &error)))
}

fn read(learned: &LearnedModel, limits: Limits, context: &Context) -> Result<Vec<u8>> {
    let LearnedModel { function, file: path, .. } = learned;
    // DuckDB's message begins with the kind of error, which the code says too.
    let unreadable = |error: duckdb_neo::Error| {
        let reason = error.message.split_once(" Error: ").map_or(&*error.message, |(_, reason)| reason);
        duckdb_neo::Error {
            code: error.code,
            message: format!("{function}: the model '{path}' cannot be read: {reason}"),
        }
    };
    let files = FileSystem::new(context)?;
    let file = FileBuilder::new(&files, path)?.read().open().map_err(unreadable)?;
    let size = file.size().map_err(unreadable)?;
    if size > limits.memory {
        let (size, limit) = (bytes_text(size), bytes_text(limits.memory));
        return Err(invalid(format!("{function}: the model '{path}' takes {size}, more than memory_limit ({limit})")));
    }
    file.read_at(0, size as usize).map_err(unreadable)
}

fn check_metric(stage: &TransitionMatrix, learned: &LearnedModel, model: &Model) -> Result<()> {
    let Input::Stage(graph) = &stage.graph else { return Ok(()) };
    let (Plan::KnnGraph(graph), metric) = (&**graph, model.contract().metric) else { return Ok(()) };
    if graph.metric == metric {
        return Ok(());
    }
    let LearnedModel { function, file, .. } = learned;
    let (takes, found) = (metric.name(), graph.metric.name());
    Err(binder(format!(
        "{function}: the model '{file}' is for graphs under metric '{takes}', not '{found}'; set metric := '{takes}'"
    )))
}

/// Refuses to name a library, which is code, where files outside are out of reach.
struct Library;

impl CustomOptionCallbacks for Library {
    fn update(&self, context: &Context, value: Value, _: SettingScope, is_reset: bool) -> Result<Value> {
        let external = context.config()?.get_value("enable_external_access")?.0.to_string();
        if !is_reset && external != "true" {
            return Err(invalid(format!("{SETTING} cannot be set while enable_external_access is false")));
        }
        Ok(value)
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let description = "Path of the ONNX Runtime library that density_peaks runs models with; empty: found by itself";
    CustomOptionBuilder::new(SETTING, description, String::logical_type(extension)?, Library)
        .default_value(String::new().value(extension)?)
        .no_session()
        .register(extension)
}
