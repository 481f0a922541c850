//! Whether an opened model takes and gives what the contract says: names, types, ranks and axes.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::core::error::{Error, Result};
use crate::model::contract::{Contract, DIM, NEIGHBORS, POINTS, PROB};

/// Check the session, its metadata first.
///
/// # Errors
/// With what is wrong and what it should be.
pub fn check(session: &Session) -> Result<Contract> {
    let metadata = session.metadata().map_err(|error| Error::Model(error.to_string()))?;
    let contract = Contract::of_metadata(|key| metadata.custom(key))?;
    names("input", session.inputs(), &[POINTS, NEIGHBORS])?;
    names("output", session.outputs(), &[PROB])?;
    for outlet in session.inputs().iter().chain(session.outputs()) {
        match outlet.name() {
            POINTS => tensor(outlet, TensorElementType::Float32, ["n", "D"], contract.dim)?,
            NEIGHBORS => tensor(outlet, TensorElementType::Int64, ["batch", "tokens"], contract.dim)?,
            _ => tensor(outlet, TensorElementType::Float32, ["batch", "tokens - 1"], contract.dim)?,
        }
    }
    Ok(contract)
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
    Err(Error::Model(format!("its {what}s are {found}, but must be {expected}")))
}

/// A tensor of this type with these axes, each of any size but that called D.
fn tensor(outlet: &Outlet, element: TensorElementType, axes: [&str; 2], dim: usize) -> Result<()> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(Error::Model(format!("\"{name}\" is {}, but must be a tensor", outlet.dtype())));
    };
    if *ty != element {
        return Err(Error::Model(format!("\"{name}\" has values of type {ty}, but must have {element}")));
    }
    if shape.len() != 2 {
        let (first, second) = (axes[0], axes[1]);
        return Err(Error::Model(format!("\"{name}\" has {} axes, but must have 2: [{first}, {second}]", shape.len())));
    }
    for (&size, axis) in shape.iter().zip(axes).filter(|(size, _)| **size >= 0) {
        if axis != "D" {
            return Err(Error::Model(format!(
                "axis {axis} of \"{name}\" has the fixed size {size}; export the model with a dynamic axis there"
            )));
        }
        if size as u64 != dim as u64 {
            return Err(Error::Model(format!("\"{name}\" has {size} dimensions, but its metadata \"{DIM}\" is {dim}")));
        }
    }
    Ok(())
}
