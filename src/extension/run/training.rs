//! `train_similarity`.

use super::super::job::Failure;
use super::super::plan::{Plan, TrainSimilarity};
use super::{Result, Run, Table, failed, read_by, too_large};
use crate::core::error::Error;
use crate::core::knn::{KnnOptions, Method, Metric, Points};
use crate::model::train::{Epoch, Ranking, train};

/// A trained model as a file, and how it came about.
pub struct Trained {
    pub epochs: Vec<Epoch>,
    pub kept: usize,
    pub cosine: Ranking,
    pub warning: Option<&'static str>,
    pub file: Vec<u8>,
}

impl Run<'_> {
    pub(super) fn train(&mut self, plan: &Plan, stage: &TrainSimilarity) -> Result<Table> {
        let relation = read_by(plan, 0);
        let labels = self.labels(&read_by(plan, 1))?;
        let (ids, embeddings) = self.collected_points(&relation)?;
        let labels = labels.of(&ids)?;
        let failed = failed(&relation.label(), &ids);
        let options = stage.options();
        self.check_training(stage, embeddings.len(), embeddings.dim()).map_err(|error| Failure {
            label: Some(relation.label()),
            error,
            ids: None,
        })?;
        let points = Points::new(embeddings, Metric::Cosine, self.monitor).map_err(&failed)?;
        let training = train(points, &labels, &options, self.monitor).map_err(&failed)?;
        let warning = (training.kept == 0 && training.epochs.len() > 1).then_some(
            "no epoch ranked the held-out pairs better than plain cosine, so the model is the calibrated cosine; \
             more labelled rows may help",
        );
        let file = training.model.to_onnx().map_err(&failed)?;
        let (epochs, kept, cosine) = (training.epochs, training.kept, training.cosine);
        Ok(Table::Trained(Trained { epochs, kept, cosine, warning, file }))
    }

    /// Refuse work that does not fit: the points twice, their graph, and what training keeps.
    fn check_training(&self, stage: &TrainSimilarity, n: usize, dim: usize) -> Result<(), Error> {
        let knn = KnnOptions { k: stage.k, method: Method::Exact, ..Default::default() };
        let points = n as u64 * (8 * dim as u64 + 16);
        let need = points + knn.memory(Default::default(), n, None, dim) + stage.options().memory(n, dim);
        if need <= self.limits.memory {
            return Ok(());
        }
        let what = format!("training on {n} embeddings of {dim} dimensions with k := {}", stage.k);
        Err(too_large(&what, need, self.limits.memory, "fewer rows or a smaller k would fit, or "))
    }
}
