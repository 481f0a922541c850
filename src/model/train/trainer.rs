//! Training, epoch by epoch.

use ndarray::Array1;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

use super::adam::Adam;
use super::context::{self, Context};
use super::encoder::Encoder;
use super::labelled_half::{LabelledHalf, SCORED, split};
use super::layers::Dropout;
use super::measure::{Calibration, Ranking};
use super::network::Network;
use super::options::TrainOptions;
use super::trained_model::TrainedModel;
use crate::core::error::{Error, Result};
use crate::core::knn::{Metric, Points};
use crate::core::monitor::Monitor;

/// Anchors of a step. Chosen by hand; no comparison with others is kept.
const BATCH: usize = 32;

/// Anchors of a step that one thread takes: a step keeps up to 8 threads at work, and each of the 8
/// sums a gradient of its own. A fixed number, so that the sums do not depend on the threads.
const SHARD: usize = 4;

/// The share of the progress before the first step, for the graphs of both halves.
const BEFORE_STEPS: f64 = 0.05;

impl TrainOptions {
    /// Bytes that training on `n` points of `dim` dimensions needs beside them, at its peak on this many threads.
    pub fn memory(&self, n: usize, dim: usize, threads: usize) -> u64 {
        let features = if self.context { context::FEATURES } else { 0 };
        let of_pair = 4 * features as u64 + 24;
        let of_point = 4 * dim as u64 + 64;
        let parameters = Network::parameters(dim, self.encoder, self.context) as u64;
        let stored = n as u64 * (of_point + self.k.min(n) as u64 * of_pair);
        let gradients = parameters * (BATCH / SHARD + 4) as u64;
        // Scoring has no masks and no gradients, but more anchors at a time, and the weights of attention twice.
        let tokens = self.k.min(n) + 1;
        let of_anchor = Network::pass_values(dim, self.encoder, features, tokens) as u64;
        let steps = (threads.min(BATCH / SHARD) * SHARD) as u64 * 3 * of_anchor;
        let scores = (threads * SCORED).min(n) as u64 * 2 * of_anchor;
        stored + 4 * (gradients + steps.max(scores))
    }
}

/// One pass over the training anchors, and what it led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number; 0 is the state before the first.
    pub epoch: usize,
    /// Mean binary cross-entropy of the training pairs during the pass.
    pub loss: f64,
    /// On the pairs of the identities held out.
    pub held_out: Ranking,
}

/// A trained model, and how it came about.
#[derive(Debug, Clone)]
pub struct Training {
    /// The model of the epoch that is kept.
    pub model: TrainedModel,
    /// Every epoch, from 0.
    pub epochs: Vec<Epoch>,
    /// The epoch of the greatest average precision, the first of equals.
    pub kept: usize,
    /// The plain cosine, on the same pairs.
    pub cosine: Ranking,
}

/// Train a model on points with labels; those without a label are left out.
///
/// # Errors
/// If there are too few identities to learn from, or the run is stopped.
///
/// # Panics
/// If the points are not under the cosine metric, or have another number than the labels.
pub fn train(points: Points, labels: &[Option<u32>], options: &TrainOptions, monitor: &Monitor) -> Result<Training> {
    assert_eq!((points.metric(), points.len()), (Metric::Cosine, labels.len()));
    let mut random = SmallRng::seed_from_u64(options.seed);
    let rows = split(labels, options.held_out, &mut random)?;
    let before = monitor.narrow(0.0..BEFORE_STEPS);
    let [train, held_out] = rows.map(|rows| LabelledHalf::new(&points, labels, &rows, options.k, monitor));
    drop(points);
    let (mut train, mut held_out) = (train?, held_out?);
    drop(before);
    let _steps = monitor.narrow(BEFORE_STEPS..1.0);
    let cosine = held_out.ranking(&held_out.cosines).ok_or_else(|| one_kind(&held_out, "held-out"))?;
    train.ranking(&train.cosines).ok_or_else(|| one_kind(&train, "training"))?;
    let calibration = Calibration::fit(&train.cosines, &train.same);
    let context = options.context.then(|| fit_context(&mut train, &mut held_out, monitor)).transpose()?;
    let (network, parameters) = Network::new(train.points.dim(), options.encoder, options.context, random.next_u64());
    let model = TrainedModel { network, parameters, calibration, context, k: options.k };
    Trainer { train, held_out, options, monitor }.run(model, cosine, random)
}

fn one_kind(half: &LabelledHalf, name: &str) -> Error {
    let kind = if half.same.contains(&true) { "share their label" } else { "have different labels" };
    let way = if half.same.contains(&true) { "raise k" } else { "give more rows of each label" };
    Error::Labels(format!("all {name} pairs of neighbors {kind}, so nothing can be learned; {way}"))
}

fn fit_context(train: &mut LabelledHalf, held_out: &mut LabelledHalf, monitor: &Monitor) -> Result<Context> {
    let mut context = Context::fit(&train.points, &train.labels, monitor)?;
    let cosines = train.each(|neighborhoods| context.cosines(neighborhoods), monitor)?;
    context.calibrate(Calibration::fit(&cosines.concat(), &train.same));
    train.set_context(&context, monitor)?;
    context.standardize(&mut train.context);
    held_out.set_context(&context, monitor)?;
    Ok(context)
}

struct Trainer<'a> {
    train: LabelledHalf,
    held_out: LabelledHalf,
    options: &'a TrainOptions,
    monitor: &'a Monitor,
}

impl Trainer<'_> {
    fn run(&self, mut model: TrainedModel, cosine: Ranking, mut random: SmallRng) -> Result<Training> {
        let learns = self.options.encoder != Encoder::None || self.options.context;
        let epochs = if learns { self.options.epochs } else { 0 };
        let steps = self.train.points.len().div_ceil(BATCH);
        let phase = self.monitor.phase(0.0..1.0, epochs * steps);
        let logits = self.logits(&model, &self.train)?;
        let losses = logits.iter().zip(&self.train.same).map(|(&logit, &same)| f64::from(loss(logit, same).0));
        let loss = losses.sum::<f64>() / logits.len() as f64;
        let mut log = vec![Epoch { epoch: 0, loss, held_out: self.ranking(&self.logits(&model, &self.held_out)?) }];
        let (mut kept, mut best) = (0, model.parameters.clone());
        let mut adam = Adam::new(model.parameters.len());
        let mut order: Vec<u32> = (0..self.train.points.len() as u32).collect();
        for epoch in 1..=epochs {
            order.shuffle(&mut random);
            let mut sum = 0.0;
            for (step, anchors) in order.chunks(BATCH).enumerate() {
                let done = ((epoch - 1) * steps + step) as f64 / (epochs * steps) as f64;
                let rate = self.options.learning_rate * (1.0 - done);
                let (loss, gradients) = self.gradients(&model, anchors, &mut random)?;
                adam.step(&mut model.parameters, &gradients, rate as f32);
                sum += loss;
                phase.step()?;
            }
            let loss = sum / self.train.same.len() as f64;
            let held_out = self.logits(&model, &self.held_out)?;
            if !loss.is_finite() || held_out.iter().any(|logit| !logit.is_finite()) {
                return Err(Error::Diverged { learning_rate: self.options.learning_rate, epoch });
            }
            log.push(Epoch { epoch, loss, held_out: self.ranking(&held_out) });
            if log[epoch].held_out.average_precision > log[kept].held_out.average_precision {
                kept = epoch;
                best.copy_from_slice(&model.parameters);
            }
            if epoch - kept >= self.options.patience {
                break;
            }
        }
        model.parameters = best;
        Ok(Training { model, epochs: log, kept, cosine })
    }

    /// The summed loss of some anchors' pairs, and the gradients of its mean, one a shard.
    fn gradients(&self, model: &TrainedModel, anchors: &[u32], random: &mut SmallRng) -> Result<(f64, Vec<Vec<f32>>)> {
        let shards: Vec<_> = anchors.chunks(SHARD).map(|anchors| (anchors, random.next_u64())).collect();
        let pairs = (anchors.len() * self.train.width()) as f32;
        let shard = |(anchors, seed): (&[u32], u64)| {
            self.monitor.check()?;
            let (neighborhoods, context) = self.train.of(anchors);
            let dropout = Dropout { share: self.options.dropout as f32, random: SmallRng::seed_from_u64(seed) };
            let (network, parameters) = (&model.network, &model.parameters);
            let (logits, pass) = network.forward(parameters, &neighborhoods, context, Some(dropout));
            let base = neighborhoods.cosines().into_iter().map(|cosine| model.calibration.logit(cosine));
            let same = self.train.same_of(anchors);
            let losses = logits.iter().zip(base).zip(same).map(|((logit, base), same)| loss(logit + base, same));
            let (losses, slopes): (Vec<f32>, Vec<f32>) = losses.unzip();
            let slopes = Array1::from(slopes) / pairs;
            let mut gradient = vec![0.0; parameters.len()];
            network.backward(parameters, &mut gradient, &neighborhoods, &pass, slopes);
            Ok((losses.into_iter().map(f64::from).sum::<f64>(), gradient))
        };
        let shards: Vec<(f64, Vec<f32>)> = shards.into_par_iter().map(shard).collect::<Result<_>>()?;
        let loss = shards.iter().map(|shard| shard.0).sum();
        Ok((loss, shards.into_iter().map(|shard| shard.1).collect()))
    }

    fn ranking(&self, held_out: &[f32]) -> Ranking {
        self.held_out.ranking(held_out).expect("pairs of both kinds, as was checked")
    }

    /// The logits of all pairs.
    fn logits(&self, model: &TrainedModel, half: &LabelledHalf) -> Result<Vec<f32>> {
        let anchors: Vec<u32> = (0..half.points.len() as u32).collect();
        let logits = anchors.par_chunks(SCORED).map(|anchors| {
            self.monitor.check()?;
            let (neighborhoods, context) = half.of(anchors);
            Ok(model.logits(&neighborhoods, context))
        });
        Ok(logits.collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Binary cross-entropy of a logit, and its derivative.
pub fn loss(logit: f32, same: bool) -> (f32, f32) {
    let truth = if same { 1.0 } else { 0.0 };
    // log(1 + exp(x)) without overflow.
    let softplus = logit.max(0.0) + (-logit.abs()).exp().ln_1p();
    (softplus - truth * logit, 1.0 / (1.0 + (-logit).exp()) - truth)
}
