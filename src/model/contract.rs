//! What a model's file must look like: the names of the tensors that go in and come out, and what the
//! file says of itself in its metadata.

use crate::core::error::{Error, Result};
use crate::core::knn::Metric;

/// Input: features, single precision [n, D], of the distinct points of a batch.
pub(super) const POINTS: &str = "points";

/// Input: rows of [`POINTS`], int64 [batch, tokens]: the anchor, then its neighbors.
pub(super) const NEIGHBORS: &str = "neighbors";

/// In [`NEIGHBORS`], the mark of an absent neighbor.
#[cfg(feature = "ort")]
pub(super) const ABSENT: i64 = -1;

/// Output: single precision [batch, tokens - 1], the probability that the anchor and a neighbor share
/// an identity.
pub(super) const PROB: &str = "prob";

/// Metadata: the contract's version.
const CONTRACT: &str = "density_peaks.contract";

/// The version that is taken and written.
const VERSION: &str = "1";

/// Metadata: [`Contract::dim`].
pub(super) const DIM: &str = "density_peaks.dim";

/// Metadata: [`Contract::k`].
const K: &str = "density_peaks.k";

/// Metadata: [`Contract::metric`], by its name.
const METRIC: &str = "density_peaks.metric";

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

impl Contract {
    /// As keys and values of a file's metadata.
    pub fn metadata(&self) -> [(&'static str, String); 4] {
        [
            (CONTRACT, VERSION.into()),
            (DIM, self.dim.to_string()),
            (K, self.k.to_string()),
            (METRIC, self.metric.name().into()),
        ]
    }

    /// Read it from a file's metadata, where `value` is that of a key.
    ///
    /// # Errors
    /// With the key that is missing, or what is wrong with its value and what it should be.
    pub fn of_metadata(value: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let version = value(CONTRACT).ok_or_else(|| {
            Error::Model(format!(
                "it has no metadata \"{CONTRACT}\"; a model for density_peaks is made as \
                 docs/functions/transition_matrix.md says"
            ))
        })?;
        if version != VERSION {
            return Err(Error::Model(format!(
                "its metadata \"{CONTRACT}\" is '{version}', but this density_peaks takes '{VERSION}'"
            )));
        }
        let text = |key| value(key).ok_or_else(|| Error::Model(format!("it has no metadata \"{key}\"")));
        let wrong = |key: &str, text: &str, range: &str| {
            Error::Model(format!("its metadata \"{key}\" is '{text}', but must be {range}"))
        };
        let number = |key| {
            let text = text(key)?;
            let number = text.parse().ok().filter(|&number: &u32| number > 0);
            number.map(|number| number as usize).ok_or_else(|| wrong(key, &text, "a whole number of at least 1"))
        };
        let (dim, k, name) = (number(DIM)?, number(K)?, text(METRIC)?);
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            let names = Metric::ALL.map(|metric| format!("'{}'", metric.name()));
            wrong(METRIC, &name, &format!("one of {}", names.join(", ")))
        })?;
        Ok(Self { dim, k, metric })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &[(&str, String)]) -> Result<Contract> {
        Contract::of_metadata(|key| metadata.iter().find(|entry| entry.0 == key).map(|entry| entry.1.clone()))
    }

    #[test]
    fn what_is_written_is_read() {
        for metric in Metric::ALL {
            let contract = Contract { dim: 128, k: 20, metric };
            assert_eq!(read(&contract.metadata()), Ok(contract));
        }
    }

    #[test]
    fn a_key_that_is_missing_or_wrong_is_named() {
        let metadata = Contract { dim: 128, k: 20, metric: Metric::Cosine }.metadata();
        for at in 0..metadata.len() {
            let mut wrong = metadata.clone();
            wrong[at].1 = "0".into();
            let mut missing = metadata.to_vec();
            let (key, _) = missing.remove(at);
            for found in [read(&wrong), read(&missing)] {
                let error = found.unwrap_err().to_string();
                assert!(error.contains(&format!("metadata \"{key}\"")), "{error}");
            }
        }
    }
}
