//! Training of a learned similarity: the probability that an anchor and each of its neighbors share an
//! identity, seen in the context of the whole neighborhood (the paper, section 3.4).
//!
//! The logit of a pair is a fitted logistic of its cosine plus what a network says, whose last layer
//! starts at zero. So training starts at the ranking that the plain cosine gives, and the epoch that
//! is kept, by the average precision on identities held out, is never below it.
//!
//! A step works on a batch of anchors in shards of fixed size; gradients of the shards are summed in
//! their order. So the result depends on the seed and not on the number of threads.

mod adam;
mod context;
mod encoder;
mod labelled_half;
mod layers;
mod measure;
mod neighborhood_tokens;
mod network;
mod onnx;
mod options;
#[cfg(test)]
mod tests;
mod trained_model;
mod trainer;
mod transformer;

pub use encoder::Encoder;
pub use measure::{Calibration, Ranking, ranking};
pub use options::{CONTEXT, DROPOUT, ENCODER, EPOCHS, HELD_OUT, K, LEARNING_RATE, PATIENCE, SEED, TrainOptions};
pub use trained_model::TrainedModel;
pub use trainer::{Epoch, Training, train};
