//! How similar the two ends of an edge are by their distance: the entries of a row before it is
//! normalized.

use crate::core::error::{Error, Result};

/// The scale of [`Kernel::Exp`], unless another is asked for; right for a raw cosine.
pub const SIGMA: f64 = 0.1;

/// From distance to similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// `max(0, 1 - distance)`, or the similarity as it was given: the paper's equation 1, right
    /// for a learned probability.
    Linear,
    /// `exp(-distance / sigma)`, as in the paper's released code; right for a raw cosine.
    Exp {
        /// Scale of the distance, above 0.
        sigma: f64,
    },
    /// `exp(exp(-location / scale) - exp((distance - location) / scale))`: that no stranger lies so near, where
    /// their number grows exponentially with the distance (the survival function of Gompertz); see
    /// [`calibration`](crate::core::calibration).
    Gompertz {
        /// Where as many strangers are expected as make the similarity 1/e.
        location: f64,
        /// How far it takes the number of strangers to grow e-fold, above 0.
        scale: f64,
    },
}

impl Default for Kernel {
    fn default() -> Self {
        Self::Exp { sigma: SIGMA }
    }
}

impl Kernel {
    /// The exponential kernel.
    ///
    /// # Errors
    /// If `sigma` is not a finite number above 0.
    pub fn exp(sigma: f64) -> Result<Self> {
        if sigma > 0.0 && sigma.is_finite() {
            return Ok(Self::Exp { sigma });
        }
        Err(Error::Parameter { name: "sigma", range: "a finite number above 0".into(), value: sigma.to_string() })
    }

    /// Similarity at a distance of at least 0; at least 0 itself.
    pub fn similarity(self, distance: f64) -> f64 {
        self.function()(distance)
    }

    /// The same, for many distances.
    pub fn function(self) -> impl Fn(f64) -> f64 + Copy {
        let strangers = |distance: f64, location: f64, scale: f64| ((distance - location) / scale).exp();
        let at_0 = match self {
            Self::Gompertz { location, scale } => strangers(0.0, location, scale),
            Self::Linear | Self::Exp { .. } => 0.0,
        };
        move |distance| match self {
            Self::Linear => (1.0 - distance).max(0.0),
            Self::Exp { sigma } => (-distance / sigma).exp(),
            Self::Gompertz { location, scale } => (at_0 - strangers(distance, location, scale)).exp(),
        }
    }
}
