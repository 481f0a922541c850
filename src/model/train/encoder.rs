//! The encoders that a network can have.

/// What the pair perceptron sees of the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// One Transformer encoder layer over the anchor and its neighbors (the paper, section 3.4).
    Transformer,
    /// Nothing.
    None,
}

impl Encoder {
    /// Every encoder.
    pub const ALL: [Self; 2] = [Self::Transformer, Self::None];

    /// `transformer` or `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::None => "none",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Transformer => "the paper's layer",
            Self::None => "nothing, which leaves the context alone",
        }
    }
}
