//! `transition_matrix(graph, ...)`, stage 2.

use duckdb_neo::Result;

use super::super::plan::{Arguments, Input, KernelName, LearnedModel, Plan, TransitionMatrix};
use super::knn_graph::{EMBEDDING, ID};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "transition_matrix",
    description: "The probability of a step from each point to itself and to each neighbor: its similarity, divided by the row's sum.",
    returns: "Returns src, dst and probability, the point itself included; the probabilities of a src sum to 1.",
    parameters: &[
        Parameter {
            name: "graph",
            default: Default::Required,
            description: "knn_graph(...), or name of a relation with src, dst, and distance or similarity",
        },
        KERNEL,
        SIGMA,
        MODEL,
        Parameter {
            name: "source",
            default: Default::Null,
            description: "with a model over a stored graph: name of the relation with one row a point that has the embeddings. NULL: those of knn_graph(...)",
        },
        ID,
        EMBEDDING,
    ],
    examples: &[
        "FROM transition_matrix('g')",
        "FROM transition_matrix('g', source := 'faces', model := 'similarity.onnx')",
        "FROM transition_matrix(knn_graph('faces', k := 20), kernel := 'exp', sigma := 0.1)",
    ],
    nested_example: Some("FROM ndde(transition_matrix('g', sigma := 0.08))"),
    plan: |arguments| {
        let graph = arguments.input("graph", "knn_graph", "src, dst, and distance or similarity")?;
        let (kernel, sigma) = kernel(arguments)?;
        let source = arguments.optional_relation("source")?.map(Input::Relation);
        let model = model(arguments, kernel, source.clone())?;
        match (&model, &graph, &source) {
            (None, _, Some(_)) => {
                return Err(arguments.error("source is for a model alone; leave it out, or set model := '...'"));
            }
            (Some(_), Input::Relation(_), None) => {
                return Err(arguments
                    .error("a model needs the embeddings; name the relation that has them with source := '...'"));
            }
            _ => {}
        }
        Ok(Plan::TransitionMatrix(TransitionMatrix { graph, kernel, sigma, model }))
    },
};

pub const KERNEL: Parameter = Parameter {
    name: "kernel",
    default: Default::Text("auto"),
    description: "'linear' (1 - distance, or the similarity as given), 'exp' (exp(-distance / sigma)) or 'auto': linear for a given similarity or a model, else exp",
};
pub const MODEL: Parameter = Parameter {
    name: "model",
    default: Default::Null,
    description: "path of an ONNX file: a learned model gives the similarities, in place of the distances",
};
pub const SIGMA: Parameter = Parameter {
    name: "sigma",
    default: Default::Number(0.1),
    description: "scale of kernel 'exp', above 0; or 'auto': in its place the kernel that the graph's own distances call for",
};

/// The model, where one is given.
pub fn model(arguments: &Arguments<'_>, kernel: KernelName, source: Option<Input>) -> Result<Option<LearnedModel>> {
    let Some(file) = arguments.optional_file("model")? else { return Ok(None) };
    if kernel == KernelName::Exp {
        return Err(arguments.error("kernel := 'exp' is for distances, but a model gives similarities; leave it out"));
    }
    let (function, id, embedding) = (arguments.name().into(), arguments.column("id")?, arguments.column("embedding")?);
    Ok(Some(LearnedModel { function, file, source, id, embedding }))
}

pub fn kernel(arguments: &Arguments<'_>) -> Result<(KernelName, Option<f64>)> {
    let kernel = arguments
        .choice("kernel", &[("auto", KernelName::Auto), ("linear", KernelName::Linear), ("exp", KernelName::Exp)])?;
    match arguments.number_or_auto("sigma", "a number above 0")? {
        Some(sigma) if !(sigma > 0.0 && sigma.is_finite()) => {
            Err(arguments.error(format!("sigma must be a finite number above 0, got {sigma}")))
        }
        sigma => Ok((kernel, sigma)),
    }
}
