//! How to train, and what holds unless something else is asked for.

use super::encoder::Encoder;

/// The [`TrainOptions::k`] that holds unless another is asked for.
pub const K: usize = 20;
/// The [`TrainOptions::encoder`], likewise: on some thousand labelled rows a network that sees the
/// vectors beside the context learns its rows by heart.
pub const ENCODER: Encoder = Encoder::None;
/// The [`TrainOptions::context`], likewise.
pub const CONTEXT: bool = true;
/// The [`TrainOptions::epochs`], likewise.
pub const EPOCHS: usize = 20;
/// The [`TrainOptions::patience`], likewise.
pub const PATIENCE: usize = 5;
/// The [`TrainOptions::learning_rate`], likewise: that of Adam's authors (Kingma and Ba 2015).
pub const LEARNING_RATE: f64 = 0.001;
/// The [`TrainOptions::dropout`], likewise: the paper's.
pub const DROPOUT: f64 = 0.2;
/// The [`TrainOptions::held_out`], likewise.
pub const HELD_OUT: f64 = 0.2;
/// The [`TrainOptions::seed`], likewise.
pub const SEED: u64 = 0;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// Neighbors of an anchor, at least 1.
    pub k: usize,
    /// What the pair perceptron sees of the vectors.
    pub encoder: Encoder,
    /// Whether it also sees how dense the two points' neighborhoods are and how far they agree,
    /// under a metric fitted to the labels.
    pub context: bool,
    /// Passes over the training anchors, at most.
    pub epochs: usize,
    /// Passes without a better average precision after which training ends.
    pub patience: usize,
    /// Rate of the first step, above 0; it falls to 0 over the epochs.
    pub learning_rate: f64,
    /// Share of a layer's values that are dropped out while training, 0 to below 1.
    pub dropout: f64,
    /// Share of the identities held out, between 0 and 1.
    pub held_out: f64,
    /// Of all that is random: the split, the first parameters, the order, dropout.
    pub seed: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            k: K,
            encoder: ENCODER,
            context: CONTEXT,
            epochs: EPOCHS,
            patience: PATIENCE,
            learning_rate: LEARNING_RATE,
            dropout: DROPOUT,
            held_out: HELD_OUT,
            seed: SEED,
        }
    }
}
