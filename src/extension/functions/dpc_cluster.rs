//! `dpc_cluster(density, distance, ...)`, stage 5.

use duckdb_neo::Result;

use super::super::plan::{Arguments, DpcCluster, Input, Plan};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "dpc_cluster",
    description: "Density peak clustering: each point joins its nearest neighbor of higher density, if that is nearer than tau; the others are peaks, and each tree is a cluster.",
    returns: RETURNS,
    parameters: &[DENSITY, DISTANCE, TAU],
    examples: &["FROM dpc_cluster('r', 'd', tau := 0.7)", "FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 0.7)"],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::DpcCluster(DpcCluster {
            density: density(arguments)?,
            distance: distance(arguments)?,
            tau: tau(arguments)?,
            id: "id".into(),
        }))
    },
};

pub const RETURNS: &str = "Returns id, cluster_id (0, 1, 2, ... in order of the smallest ids), parent_id (a peak's own id), delta (distance to the candidate parent, NULL without one), density and is_peak.";

pub const DENSITY: Parameter = Parameter {
    name: "density",
    default: Default::Required,
    description: "ndde(...), or name of a relation with id and density",
};
pub const DISTANCE: Parameter = Parameter {
    name: "distance",
    default: Default::Required,
    description: "tpdi(...), or name of a relation with src, dst and distance",
};
pub const TAU: Parameter = Parameter {
    name: "tau",
    default: Default::Number(0.7),
    description: "a point joins its parent if their distance is below this, between 0 and 1",
};

pub fn density(arguments: &Arguments<'_>) -> Result<Input> {
    arguments.input("density", "ndde", "id, density")
}

pub fn distance(arguments: &Arguments<'_>) -> Result<Input> {
    arguments.input("distance", "tpdi", "src, dst, distance")
}

pub fn tau(arguments: &Arguments<'_>) -> Result<f64> {
    let tau = arguments.number("tau")?;
    if (0.0..=1.0).contains(&tau) {
        return Ok(tau);
    }
    Err(arguments.error(format!("tau must be between 0 and 1, got {tau}")))
}
