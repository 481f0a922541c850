//! What a model file must look like: the tensors that go in and come out, and what it says of itself.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::core::error::{Error, Result};
use crate::core::knn::Metric;

/// What a model says of itself, in the metadata of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// D, the dimensions of the embeddings that it takes.
    pub dim: usize,
    /// The neighbors a point that it was trained with. It takes any number.
    pub k: usize,
    /// The metric of the graph that it was trained with. Under cosine it is given embeddings of
    /// length 1.
    pub metric: Metric,
}

/// The version of the contract, `density_peaks.contract` in the metadata.
const VERSION: &str = "1";

fn wrong(message: impl Into<String>) -> Error {
    Error::Model(message.into())
}

impl Contract {
    /// Check an opened model: names, types, ranks and axes of what goes in and comes out, and its
    /// metadata.
    ///
    /// # Errors
    /// With what is wrong and what it should be.
    pub(super) fn of(session: &Session) -> Result<Self> {
        let metadata = session.metadata().map_err(|error| wrong(error.to_string()))?;
        let contract = metadata.custom("density_peaks.contract").ok_or_else(|| {
            wrong(
                "it has no metadata \"density_peaks.contract\"; a model for density_peaks is made as \
                 docs/functions/transition_matrix.md says",
            )
        })?;
        if contract != VERSION {
            return Err(wrong(format!(
                "its metadata \"density_peaks.contract\" is '{contract}', but this density_peaks takes '{VERSION}'"
            )));
        }
        let number = |key: &str| {
            let text = metadata.custom(key).ok_or_else(|| wrong(format!("it has no metadata \"{key}\"")))?;
            let number = text.parse().ok().filter(|&number: &u32| number > 0);
            number.map(|number| number as usize).ok_or_else(|| {
                wrong(format!("its metadata \"{key}\" is '{text}', but must be a whole number of at least 1"))
            })
        };
        let dim = number("density_peaks.dim")?;
        let k = number("density_peaks.k")?;
        let key = "density_peaks.metric";
        let text = metadata.custom(key).ok_or_else(|| wrong(format!("it has no metadata \"{key}\"")))?;
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == text).ok_or_else(|| {
            wrong(format!("its metadata \"{key}\" is '{text}', but must be one of 'cosine', 'ip', 'l2sq'"))
        })?;

        names("input", session.inputs(), &["points", "neighbors"])?;
        names("output", session.outputs(), &["prob"])?;
        for outlet in session.inputs().iter().chain(session.outputs()) {
            match outlet.name() {
                "points" => tensor(outlet, TensorElementType::Float32, ["n", "D"], dim)?,
                "neighbors" => tensor(outlet, TensorElementType::Int64, ["batch", "tokens"], dim)?,
                _ => tensor(outlet, TensorElementType::Float32, ["batch", "tokens - 1"], dim)?,
            }
        }
        Ok(Self { dim, k, metric })
    }
}

/// Exactly these names, in any order.
fn names(what: &str, found: &[Outlet], expected: &[&str]) -> Result<()> {
    if found.len() == expected.len() && expected.iter().all(|name| found.iter().any(|outlet| outlet.name() == *name)) {
        return Ok(());
    }
    let list = |names: Vec<&str>| match &*names {
        [] => "none".into(),
        names => names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
    };
    let (found, expected) = (list(found.iter().map(|outlet| outlet.name()).collect()), list(expected.to_vec()));
    Err(wrong(format!("its {what}s are {found}, but must be {expected}")))
}

/// A tensor of this type with these axes, each of any size but that called D.
fn tensor(outlet: &Outlet, element: TensorElementType, axes: [&str; 2], dim: usize) -> Result<()> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(wrong(format!("\"{name}\" is {}, but must be a tensor", outlet.dtype())));
    };
    if *ty != element {
        return Err(wrong(format!("\"{name}\" has values of type {ty}, but must have {element}")));
    }
    if shape.len() != 2 {
        let (first, second) = (axes[0], axes[1]);
        return Err(wrong(format!("\"{name}\" has {} axes, but must have 2: [{first}, {second}]", shape.len())));
    }
    for (&size, axis) in shape.iter().zip(axes).filter(|(size, _)| **size >= 0) {
        if axis != "D" {
            return Err(wrong(format!(
                "axis {axis} of \"{name}\" has the fixed size {size}; export the model with a dynamic axis there"
            )));
        }
        if size as u64 != dim as u64 {
            return Err(wrong(format!(
                "\"{name}\" has {size} dimensions, but its metadata \"density_peaks.dim\" is {dim}"
            )));
        }
    }
    Ok(())
}
