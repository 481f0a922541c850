//! Density peaks without diffusion.

use rayon::prelude::*;

use crate::core::dpc;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};

/// How neighbors count toward the density of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DensityKernel {
    /// One each, within the cutoff.
    Count,
    /// `exp(-(distance / cutoff)^2)`.
    #[default]
    Gaussian,
}

impl DensityKernel {
    /// Every kernel.
    pub const ALL: [Self; 2] = [Self::Gaussian, Self::Count];

    /// `gaussian` or `count`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Gaussian => "gaussian",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Gaussian => "exp(-(distance / cutoff)^2)",
            Self::Count => "one each, within the cutoff",
        }
    }
}

/// See [`GraphMethod::DensityPeaks`](super::GraphMethod::DensityPeaks).
pub fn density_peaks(
    graph: &Matrix,
    kernel: DensityKernel,
    cutoff: f64,
    threshold: f64,
    monitor: &Monitor,
) -> Result<Vec<u32>> {
    let weight = |distance: f64| match kernel {
        DensityKernel::Count => f64::from(u8::from(distance <= cutoff)),
        DensityKernel::Gaussian => (-(distance / cutoff).powi(2)).exp(),
    };
    let density = |i: usize| monitor.check().map(|()| row(graph, i).1.iter().fold(0.0, |sum, &d| sum + weight(d)));
    let density: Vec<f64> = (0..graph.rows()).into_par_iter().with_min_len(ROWS).map(density).collect::<Result<_>>()?;
    let candidates = dpc::candidates(&density, graph, monitor)?;
    let parent = candidates.into_iter().zip(0..).map(|(candidate, i)| match candidate {
        Some((j, distance)) if distance <= threshold => j,
        _ => i,
    });
    Ok(dpc::number_trees(&parent.collect::<Vec<u32>>()))
}
