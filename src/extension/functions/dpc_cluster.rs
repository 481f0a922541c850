//! `dpc_cluster(density, distance, ...)`, stage 5.

use duckdb_neo::Result;

use super::super::plan::{Arguments, DpcCluster, Input, Plan};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "dpc_cluster",
    description: "Density peak clustering: each point joins its nearest neighbor of higher density, if that is nearer than tau; the others are peaks, and each tree is a cluster.",
    returns: RETURNS,
    parameters: &[DENSITY, DISTANCE, TAU, PREVIOUS, MUST_LINK, CANNOT_LINK],
    examples: &[
        "FROM dpc_cluster('r', 'd', tau := 0.7)",
        "FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 'auto')",
        "FROM dpc_cluster('r', 'd', previous := 'clusters', cannot_link := 'same_photo')",
    ],
    nested_example: None,
    plan: |arguments| plan(arguments, STAGE.name, "id".into(), density(arguments)?, distance(arguments)?),
};

pub const RETURNS: &str = "Returns id, cluster_id (0, 1, 2, ... in order of the smallest ids, or as previous has it), parent_id (a peak's own id), delta (distance to the candidate parent, NULL without one), density and is_peak.";

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
    description: "a point joins its parent if their distance is below this, from 0 to 1; or 'auto': as the distances call for",
};

pub const PREVIOUS: Parameter = Parameter {
    name: "previous",
    default: Default::Null,
    description: "name of a relation with the cluster_id of each id in an earlier clustering: clusters keep the id of the one that they overlap most, new ones get ids beyond the greatest. NULL: ids from 0",
};
pub const MUST_LINK: Parameter = Parameter {
    name: "must_link",
    default: Default::Null,
    description: "name of a relation with src and dst: pairs that share a cluster. NULL: none",
};
pub const CANNOT_LINK: Parameter = Parameter {
    name: "cannot_link",
    default: Default::Null,
    description: "name of a relation with src and dst: pairs that do not share a cluster, such as two faces in one photo. NULL: none",
};

/// The stage with the relations that are given beside densities and distances.
pub fn plan(arguments: &Arguments<'_>, function: &str, id: String, density: Input, distance: Input) -> Result<Plan> {
    let pairs = |name| {
        let relation = arguments.optional_relation_of(name, "the name of a relation with columns src, dst")?;
        Ok::<_, duckdb_neo::Error>(relation.map(Input::Relation))
    };
    Ok(Plan::DpcCluster(DpcCluster {
        function: function.into(),
        density,
        distance,
        tau: tau(arguments)?,
        id,
        previous: arguments.optional_relation("previous")?.map(Input::Relation),
        must_link: pairs("must_link")?,
        cannot_link: pairs("cannot_link")?,
    }))
}

pub fn density(arguments: &Arguments<'_>) -> Result<Input> {
    arguments.input("density", "ndde", "id, density")
}

pub fn distance(arguments: &Arguments<'_>) -> Result<Input> {
    arguments.input("distance", "tpdi", "src, dst, distance")
}

/// `None` for 'auto'.
pub fn tau(arguments: &Arguments<'_>) -> Result<Option<f64>> {
    const WHAT: &str = "a number from 0 to 1";
    match arguments.number_or_auto("tau", WHAT)? {
        Some(tau) if !(0.0..=1.0).contains(&tau) => {
            Err(arguments.error(format!("tau must be {WHAT} or 'auto', got {tau}")))
        }
        tau => Ok(tau),
    }
}
