//! The learned models of a plan: read through the host, and checked before the work.

use std::sync::Arc;

use super::failure::Failure;
use super::host::Host;
use super::limits::bytes_text;
use super::refusal::{Result, binder, input};
use crate::core::error::Error;
use crate::core::knn::Metric;
use crate::core::monitor::Monitor;
use crate::model::{Model, Runtime};

/// A model file in place of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// The function that the user called, for messages.
    pub function: &'static str,
    pub path: String,
    /// The relations whose embeddings it is given, by their nodes.
    pub sources: Vec<usize>,
    /// The metric of the graph, where it is made in the same plan.
    pub metric: Option<Metric>,
}

/// Each model file of a plan, open.
#[derive(Debug, Clone, Default)]
pub struct Models(Vec<(ModelFile, Arc<Model>)>);

impl Models {
    /// Open the files, and check each against the graph whose edges it is to judge.
    pub fn open<'a>(files: impl Iterator<Item = &'a ModelFile>, host: &dyn Host) -> Result<Self> {
        let mut models = Self::default();
        for file in files {
            let known = models.0.iter().find(|(other, _)| other.path == file.path);
            let model = known.map_or_else(|| open(file, host).map(Arc::new), |(_, model)| Ok(model.clone()))?;
            let metric = model.contract().metric;
            if let Some(found) = file.metric.filter(|&found| found != metric) {
                let ModelFile { function, path, .. } = file;
                let (takes, found) = (metric.name(), found.name());
                return Err(binder(format!(
                    "{function}: the model '{path}' is for graphs under metric '{takes}', not '{found}'; set metric := '{takes}'"
                )));
            }
            models.0.push((file.clone(), model));
        }
        Ok(models)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The model of a file of the plan.
    pub fn get(&self, file: &ModelFile) -> Arc<Model> {
        let found = self.0.iter().find(|(other, _)| other.path == file.path);
        found.map(|(_, model)| model.clone()).expect("every model of the plan is open")
    }

    /// Refuse embeddings of a relation, given by its node, that a model does not take: of `dim`
    /// dimensions, in a column that `what` names.
    pub fn check_dim(&self, source: usize, dim: usize, what: impl Fn() -> String) -> Result<(), String> {
        for (ModelFile { function, path, sources, .. }, model) in &self.0 {
            let takes = model.contract().dim;
            if takes != dim && sources.contains(&source) {
                let what = what();
                return Err(format!(
                    "{function}: the model '{path}' takes {takes}-dimensional embeddings, but {what} has {dim}"
                ));
            }
        }
        Ok(())
    }

    /// Try each model once.
    pub fn dry_run(&self, monitor: &Monitor) -> Result<(), Failure> {
        for (at, (file, model)) in self.0.iter().enumerate() {
            if self.0[..at].iter().all(|(other, _)| other.path != file.path) {
                model.dry_run(monitor).map_err(|error| Failure::said(message(file, &error)))?;
            }
        }
        Ok(())
    }
}

/// An error about a model as the user reads it.
pub fn message(file: &ModelFile, error: &Error) -> String {
    let ModelFile { function, path, .. } = file;
    match error {
        Error::Model(reason) => format!("{function}: the model '{path}' cannot be used: {reason}"),
        Error::Memory(_) => format!(
            "{function}: the model needs more memory than memory_limit leaves it; raise memory_limit, or lower k or threads"
        ),
        Error::NoRuntime => format!(
            "{function}: a model needs ONNX Runtime, which is not here; install it in the Python that runs DuckDB \
             (pip install onnxruntime), or name the library with the environment variable ORT_DYLIB_PATH or \
             SET density_peaks_onnxruntime = '...'"
        ),
        other => format!("{function}: {other}"),
    }
}

fn open(file: &ModelFile, host: &dyn Host) -> Result<Model> {
    let ModelFile { function, path, .. } = file;
    let memory = host.limits()?.memory;
    let too_large = |size| {
        let (size, limit) = (bytes_text(size), bytes_text(memory));
        input(format!("{function}: the model '{path}' takes {size}, more than memory_limit ({limit})"))
    };
    let unreadable = |reason: &str| format!("{function}: the model '{path}' cannot be read: {reason}");
    let bytes = host.read(path, memory, &unreadable, &too_large)?;
    let library = host.model_library()?;
    let runtime = Runtime::load(library.as_deref());
    runtime.and_then(|runtime| Model::open(bytes, runtime, memory)).map_err(|error| input(message(file, &error)))
}
