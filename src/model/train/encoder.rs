//! The encoders that a network can have.

/// What the pair perceptron sees of the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// One Transformer encoder layer over the anchor and its neighbors (the paper, section 3.4).
    Transformer,
    /// The vectors, and the mean of the neighbors beside the anchor (after Pair-Cls, Liu et al. 2021).
    Aggregate,
    /// One graph convolution over the neighborhood (after GCN(V), Yang et al. 2020).
    Gcn,
    /// Nothing.
    None,
}

impl Encoder {
    /// Every encoder.
    pub const ALL: [Self; 4] = [Self::Transformer, Self::Aggregate, Self::Gcn, Self::None];

    /// `transformer`, `aggregate`, `gcn` or `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Aggregate => "aggregate",
            Self::Gcn => "gcn",
            Self::None => "none",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Transformer => "the paper's layer",
            Self::Aggregate => "the mean of the neighbors beside the anchor",
            Self::Gcn => "one graph convolution",
            Self::None => "nothing, which leaves the context alone",
        }
    }
}
