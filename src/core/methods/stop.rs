//! Where an agglomerative clustering stops.

use crate::core::error::{Error, Result};

/// Where an agglomerative clustering stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stop {
    /// Before two clusters farther apart than this merge.
    Threshold(f64),
    /// At so many clusters.
    Clusters(usize),
}

impl Stop {
    /// The largest distance at which clusters merge, and the number of clusters that is the end.
    pub(super) fn limits(self, n: usize) -> Result<(f64, usize)> {
        match self {
            Self::Threshold(threshold) => Ok((threshold, 0)),
            Self::Clusters(clusters) => check_clusters(clusters, n).map(|()| (f64::INFINITY, clusters)),
        }
    }

    /// Fails if the merges ran out before the number of clusters was reached.
    pub(super) fn check(self, left: usize) -> Result<()> {
        match self {
            Self::Clusters(clusters) if clusters < left => {
                let range =
                    format!("at least {left} for this graph, which has as many parts; build it with a larger k");
                Err(Error::Parameter { name: "clusters", range, value: clusters.to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// Check a number of clusters of `n` points.
pub(super) fn check_clusters(clusters: usize, n: usize) -> Result<()> {
    if n == 0 || (1..=n).contains(&clusters) {
        return Ok(());
    }
    let range = format!("between 1 and {n}, the number of points");
    Err(Error::Parameter { name: "clusters", range, value: clusters.to_string() })
}
