//! One row of features, whatever its precision.

use half::f16;

use crate::core::kernels::{self, single};

/// The features of one point: its values, times its scale where there is one.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Row<'a> {
    /// In single precision.
    F32(&'a [f32]),
    /// In half precision, with the scale.
    F16(&'a [f16], f32),
    /// In 8 bits, with the scale.
    I8(&'a [i8], f32),
}

impl Row<'_> {
    /// Inner product, summed in double precision: the same bits on every machine, and symmetric.
    ///
    /// # Panics
    /// If the other's precision is another.
    #[inline]
    pub fn dot(self, other: Self) -> f64 {
        match (self, other) {
            (Self::F32(x), Self::F32(y)) => kernels::dot_f32(x, y),
            (Self::F16(x, x_scale), Self::F16(y, y_scale)) => {
                kernels::dot_f16(x, y) * (f64::from(x_scale) * f64::from(y_scale))
            }
            (Self::I8(x, x_scale), Self::I8(y, y_scale)) => {
                kernels::dot_i8(x, y) as f64 * (f64::from(x_scale) * f64::from(y_scale))
            }
            _ => panic!("rows of two precisions"),
        }
    }

    /// Squared Euclidean distance, likewise; exactly 0 for equal rows.
    ///
    /// # Panics
    /// If the other's precision is another.
    #[inline]
    pub fn squared_distance(self, other: Self) -> f64 {
        match (self, other) {
            (Self::F32(x), Self::F32(y)) => kernels::squared_distance_f32(x, y),
            (Self::F16(x, x_scale), Self::F16(y, y_scale)) => {
                kernels::squared_distance_f16(x, x_scale.into(), y, y_scale.into())
            }
            (Self::I8(x, x_scale), Self::I8(y, y_scale)) => {
                kernels::squared_distance_i8(x, x_scale.into(), y, y_scale.into())
            }
            _ => panic!("rows of two precisions"),
        }
    }

    /// The features times `factor`, in single precision.
    pub fn decode(self, factor: f64, features: &mut Vec<f32>) {
        features.clear();
        match self {
            Self::F32(values) => features.extend(values.iter().map(|&x| (f64::from(x) * factor) as f32)),
            Self::F16(values, scale) => {
                let factor = f64::from(scale) * factor;
                features.extend(values.iter().map(|&x| (f64::from(single(x)) * factor) as f32));
            }
            Self::I8(values, scale) => {
                let factor = f64::from(scale) * factor;
                features.extend(values.iter().map(|&x| (f64::from(x) * factor) as f32));
            }
        }
    }

    /// Append the features in single precision.
    pub fn append_to(self, features: &mut Vec<f32>) {
        match self {
            Self::F32(values) => features.extend_from_slice(values),
            Self::F16(values, scale) => features.extend(values.iter().map(|&x| single(x) * scale)),
            Self::I8(values, scale) => features.extend(values.iter().map(|&x| f32::from(x) * scale)),
        }
    }

    /// One feature.
    pub(crate) fn feature(self, at: usize) -> f64 {
        match self {
            Self::F32(values) => f64::from(values[at]),
            Self::F16(values, scale) => f64::from(single(values[at])) * f64::from(scale),
            Self::I8(values, scale) => f64::from(values[at]) * f64::from(scale),
        }
    }

    /// The features less those of `centre`, in double precision; a difference is rounded, a feature is not.
    pub(crate) fn centred(self, centre: &[f64], features: &mut Vec<f64>) {
        features.clear();
        match self {
            Self::F32(values) => features.extend(values.iter().zip(centre).map(|(&x, m)| f64::from(x) - m)),
            Self::F16(values, scale) => {
                let scale = f64::from(scale);
                features.extend(values.iter().zip(centre).map(|(&x, m)| f64::from(single(x)) * scale - m));
            }
            Self::I8(values, scale) => {
                let scale = f64::from(scale);
                features.extend(values.iter().zip(centre).map(|(&x, m)| f64::from(x) * scale - m));
            }
        }
    }

    /// Ask for the values, which are read soon, so that they are in the cache by then.
    #[inline]
    pub(crate) fn prefetch(self) {
        match self {
            Self::F32(values) => kernels::prefetch(values),
            Self::F16(values, _) => kernels::prefetch(values),
            Self::I8(values, _) => kernels::prefetch(values),
        }
    }
}
