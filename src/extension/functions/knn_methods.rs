//! `knn_methods(n, dim, k)`: what each method of `knn_graph` takes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::DataChunkRef;
use duckdb_neo::extension::Extension;
use duckdb_neo::macro_function::{MacroBody, MacroFunctionBuilder};
use duckdb_neo::signature::{FunctionDocumentationBuilder, FunctionParameter, SignatureBuilder};
use duckdb_neo::table_function::*;
use duckdb_neo::types::DuckDBType;
use duckdb_neo::{Result, bind_arguments::BindArgument};

use super::super::memory::Limits;
use super::super::source::write;
use super::super::{defect, guarded, invalid};
use super::internal;
use crate::core::knn::{Estimate, Method, choice, estimates};

/// `density_peaks_knn_methods(n, dim, k)`.
struct Methods;

/// What was asked for, and on how many threads.
struct Question {
    n: usize,
    dim: usize,
    k: usize,
    threads: usize,
}

impl Question {
    fn new(arguments: &[BindArgument], context: &Context) -> Result<Self> {
        let number = |at: usize, name: &str| {
            let value = arguments.get(at).and_then(|argument| argument.value.as_ref());
            let value = value.ok_or_else(|| defect("no argument"))?.get::<i64>()?;
            let valid = value.filter(|&value| value >= 1);
            let got = value.map_or("NULL".into(), |value| value.to_string());
            valid
                .map(|value| value as usize)
                .ok_or_else(|| invalid(format!("knn_methods: {name} must be a whole number of at least 1, got {got}")))
        };
        let (n, dim, k) = (number(0, "n")?, number(1, "dim")?, number(2, "k")?);
        Ok(Self { n, dim, k, threads: Limits::of(context)?.threads })
    }
}

impl TableFunctionCallbacks for Methods {
    type BindData = Question;
    type GlobalState = AtomicBool;
    type LocalState = ();

    fn bind(
        &self,
        context: &Context,
        arguments: Vec<BindArgument>,
        result: BindFunctionHandle<'_>,
    ) -> Result<Question> {
        guarded(|| {
            result.add_result_column("method", &String::logical_type(context)?)?;
            result.add_result_column("chosen", &bool::logical_type(context)?)?;
            for name in ["seconds", "recall", "mass"] {
                result.add_result_column(name, &f64::logical_type(context)?)?;
            }
            Question::new(&arguments, context)
        })
    }

    fn init_global_state(
        &self,
        _: &Question,
        _: &Context,
        _: InitColumnData<'_>,
    ) -> Result<(Option<AtomicBool>, Option<usize>)> {
        Ok((Some(AtomicBool::new(false)), Some(1)))
    }

    fn exec(
        &self,
        question: &Question,
        done: Option<&AtomicBool>,
        _: Option<&mut ()>,
        _: &Context,
        mut output: DataChunkRef<'_>,
        _: ExecColumnInfo<'_>,
    ) -> Result<()> {
        guarded(|| {
            let &Question { n, dim, k, threads } = question;
            let all = estimates(n, dim, k);
            let done = done.is_none_or(|done| done.swap(true, Relaxed));
            let rows: &[Estimate] = if done { &[] } else { &all };
            let chosen = choice(n, dim, k);
            let name = |method| if method == Method::Exact { "exact" } else { "nn_descent" };
            let output = &mut output;
            write::<String>(output, 0, rows.iter().map(|row| Some(name(row.method))))?;
            write::<bool>(output, 1, rows.iter().map(|row| Some(row.method == chosen)))?;
            write::<f64>(output, 2, rows.iter().map(|row| Some(row.seconds / threads as f64)))?;
            write::<f64>(output, 3, rows.iter().map(|row| Some(row.recall)))?;
            write::<f64>(output, 4, rows.iter().map(|row| Some(row.mass)))
        })
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<i64>("n"))
        .param(FunctionParameter::new::<i64>("dim"))
        .param(FunctionParameter::new::<i64>("k"))
        .documentation(internal("What each method of knn_graph takes."));
    TableFunctionBuilder::new("density_peaks_knn_methods", signature, Methods).register(extension)?;

    let docs = FunctionDocumentationBuilder::new()
        .description(
            "What knn_graph takes by each method that method := 'auto' chooses from, and which one it chooses, by measurements: seconds on a processor with AVX-512 VNNI and as many threads as the setting, the share of the exact neighbors that are found (recall), and of their weight exp(-distance / 0.1) (mass). Returns method, chosen, seconds, recall and mass.\nn: number of points\ndim: dimensions of an embedding\nk (default 80): neighbors of a point",
        )
        .add_example("", "FROM knn_methods(1_000_000, 256)")
        .add_category("density_peaks");
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<i64>("n"))
        .param(FunctionParameter::new::<i64>("dim"))
        .param(FunctionParameter::new::<i64>("k").default_value(80i64))
        .documentation(docs);
    let body = MacroBody::Table("FROM density_peaks_knn_methods(n, dim, k)".into());
    MacroFunctionBuilder::new("knn_methods", signature, body).register(extension)
}
