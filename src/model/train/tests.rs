use ndarray::Array2;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::context::FEATURES;
use super::encoder::Encoder;
use super::layers::Dropout;
use super::neighborhood_tokens::NeighborhoodTokens;
use super::network::Network;
use super::options::TrainOptions;
use super::trainer::{loss, train};
use crate::core::embeddings::Embeddings;
use crate::core::error::Error;
use crate::core::knn::{Metric, Points};
use crate::core::monitor::Monitor;

/// Identities of four points each, hard to tell apart.
fn faces(identities: usize, dim: usize, noise: f32) -> (Points, Vec<Option<u32>>) {
    let mut random = SmallRng::seed_from_u64(7);
    let mut normal = || (0..6).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum::<f32>();
    let centers: Vec<f32> = (0..identities * dim).map(|_| normal()).collect();
    let point = |at: usize| centers[at / 4 * dim..][..dim].to_vec();
    let values = (0..4 * identities).flat_map(point).collect::<Vec<f32>>();
    let values = values.into_iter().map(|x| x + noise * normal()).collect();
    let points = Points::new(Embeddings::new(values, dim).unwrap(), Metric::Cosine, &Monitor::new()).unwrap();
    (points, (0..4 * identities as u32).map(|at| Some(at / 4)).collect())
}

fn options(encoder: Encoder, context: bool) -> TrainOptions {
    TrainOptions { k: 6, encoder, context, epochs: 3, learning_rate: 0.002, ..Default::default() }
}

/// The gradient of every kind of network, against differences of the loss, with the same dropout.
#[test]
fn gradients_are_those_of_the_loss() {
    let (points, _) = faces(4, 6, 0.5);
    let lists: [(u32, &[u32]); 3] = [(0, &[1, 2, 5, 9]), (7, &[6, 4]), (3, &[15])];
    let neighborhoods = NeighborhoodTokens::new(&points, lists.into_iter());
    let pairs = neighborhoods.pairs();
    let kinds = Encoder::ALL.into_iter().flat_map(|encoder| [(encoder, true), (encoder, false)]);
    for (encoder, context) in kinds.filter(|kind| *kind != (Encoder::None, false)) {
        let (network, mut parameters) = Network::new(6, encoder, context, 3);
        // Some matrices start at zero; here they must not, for the others to have a gradient.
        let mut random = SmallRng::seed_from_u64(5);
        let zeros = parameters.iter_mut().filter(|x| **x == 0.0);
        zeros.for_each(|x| *x = random.next_u32() as f32 / u32::MAX as f32 - 0.5);
        let features =
            Array2::from_shape_fn((pairs, if context { FEATURES } else { 0 }), |(i, j)| ((i * 7 + j) as f32).sin());
        let dropout = || Some(Dropout { share: 0.2, random: SmallRng::seed_from_u64(11) });
        let total = |parameters: &[f32]| {
            let (logits, _) = network.forward(parameters, &neighborhoods, features.clone(), dropout());
            logits.iter().enumerate().map(|(at, &x)| f64::from(loss(x, at % 2 == 0).0)).sum::<f64>()
        };
        let (logits, pass) = network.forward(&parameters, &neighborhoods, features.clone(), dropout());
        let slopes = logits.iter().enumerate().map(|(at, &logit)| loss(logit, at % 2 == 0).1).collect();
        let mut gradient = vec![0.0; parameters.len()];
        network.backward(&parameters, &mut gradient, &neighborhoods, &pass, slopes);
        // Along random directions, which have a part of every layer.
        for seed in 0..8 {
            let mut random = SmallRng::seed_from_u64(seed);
            let direction: Vec<f32> = gradient.iter().map(|_| (random.next_u32() % 3) as f32 - 1.0).collect();
            let step = 1e-5;
            let moved = |by: f32| parameters.iter().zip(&direction).map(|(x, d)| x + by * d).collect::<Vec<f32>>();
            let expected = (total(&moved(step)) - total(&moved(-step))) / f64::from(2.0 * step);
            let found: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            let scale = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            assert!((found - expected).abs() < 0.03 * scale, "{encoder:?} {context}: {found} {expected} {scale}");
        }
    }
}

#[test]
fn training_starts_at_the_cosine_and_keeps_the_best_epoch() {
    let (points, labels) = faces(60, 8, 0.9);
    for encoder in Encoder::ALL {
        let training = train(points.clone(), &labels, &options(encoder, true), &Monitor::new()).unwrap();
        let first = training.epochs[0].held_out;
        assert!((first.auc - training.cosine.auc).abs() < 1e-6, "{encoder:?} {first:?} {:?}", training.cosine);
        let best = training.epochs.iter().map(|epoch| epoch.held_out.average_precision).fold(0.0, f64::max);
        assert_eq!(training.epochs[training.kept].held_out.average_precision, best);
        assert!(training.epochs.last().unwrap().loss < training.epochs[0].loss, "{encoder:?} {:?}", training.epochs);
    }
}

#[test]
fn nothing_to_learn_is_the_calibrated_cosine() {
    let (points, labels) = faces(20, 8, 0.5);
    let training = train(points.clone(), &labels, &options(Encoder::None, false), &Monitor::new()).unwrap();
    assert_eq!((training.epochs.len(), training.kept), (1, 0));
    let probabilities = training.model.probabilities(&points, &[&[0, 1, 2], &[5, 9]]);
    let cosines = [(0, 1), (0, 2), (5, 9)].map(|(i, j)| 1.0 - points.distance(i, &points, j));
    for (probability, cosine) in probabilities.into_iter().zip(cosines) {
        let logit = training.model.calibration.logit(cosine);
        assert!((probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-5);
    }
}

#[test]
fn the_seed_alone_decides_not_the_threads() {
    let (points, labels) = faces(30, 8, 0.9);
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = TrainOptions { seed, ..options(Encoder::Transformer, true) };
        pool.install(|| train(points.clone(), &labels, &options, &Monitor::new())).unwrap()
    };
    let (one, three, other) = (run(1, 1), run(3, 1), run(3, 2));
    assert_eq!((&one.model.parameters, &one.epochs), (&three.model.parameters, &three.epochs));
    assert_ne!(one.model.parameters, other.model.parameters);
}

#[test]
fn a_neighborhood_does_not_see_the_others() {
    let (points, labels) = faces(20, 8, 0.7);
    for encoder in Encoder::ALL {
        let training = train(points.clone(), &labels, &options(encoder, true), &Monitor::new()).unwrap();
        let together = training.model.probabilities(&points, &[&[0, 1, 2, 30], &[5, 9], &[7, 6, 5]]);
        let alone: Vec<f32> = [&[0, 1, 2, 30][..], &[5, 9], &[7, 6, 5]]
            .iter()
            .flat_map(|list| training.model.probabilities(&points, &[list]))
            .collect();
        assert!(together.iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-5), "{encoder:?}");
    }
}

#[test]
fn too_few_identities_are_refused() {
    let (points, _) = faces(20, 8, 0.7);
    let refused = |labels: &[Option<u32>]| {
        let error = train(points.clone(), labels, &options(Encoder::None, true), &Monitor::new()).unwrap_err();
        error.to_string()
    };
    let of = |label: &dyn Fn(u32) -> Option<u32>| refused(&(0..80).map(label).collect::<Vec<_>>());
    assert!(of(&|_| None).starts_with("no row has a label"));
    assert!(of(&|_| Some(0)).starts_with("all rows have the same label"));
    assert!(of(&|at| Some(at)).starts_with("no label has two rows or more"));
    assert!(of(&|at| (at < 36).then_some(at / 4)).starts_with("9 labels have two rows or more"));
}

#[test]
fn a_run_can_be_stopped() {
    let (points, labels) = faces(20, 8, 0.7);
    let monitor = Monitor::new();
    monitor.stop();
    assert_eq!(train(points, &labels, &options(Encoder::Transformer, true), &monitor).unwrap_err(), Error::Interrupted);
}
