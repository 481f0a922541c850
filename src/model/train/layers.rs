//! Layers with their gradients. The parameters of a network are one flat vector, its gradient
//! another; a layer knows its places in them.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Zip};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};

/// A matrix among the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterMatrix {
    start: usize,
    pub rows: usize,
    pub columns: usize,
}

impl ParameterMatrix {
    pub fn of<'a>(&self, parameters: &'a [f32]) -> ArrayView2<'a, f32> {
        let values = &parameters[self.start..self.start + self.rows * self.columns];
        ArrayView2::from_shape((self.rows, self.columns), values).expect("the layout's own length")
    }

    fn of_mut<'a>(&self, parameters: &'a mut [f32]) -> ArrayViewMut2<'a, f32> {
        let values = &mut parameters[self.start..self.start + self.rows * self.columns];
        ArrayViewMut2::from_shape((self.rows, self.columns), values).expect("the layout's own length")
    }

    /// Of a matrix with one row.
    pub fn vector<'a>(&self, parameters: &'a [f32]) -> ArrayView1<'a, f32> {
        self.of(parameters).remove_axis(Axis(0))
    }

    fn vector_mut<'a>(&self, parameters: &'a mut [f32]) -> ArrayViewMut1<'a, f32> {
        self.of_mut(parameters).remove_axis(Axis(0))
    }

    /// Add the gradient `xᵀ dy` of the product `y = x W`, and give that of `x`.
    pub fn backward(
        &self,
        parameters: &[f32],
        gradient: &mut [f32],
        x: &ArrayView2<'_, f32>,
        dy: &Array2<f32>,
    ) -> Array2<f32> {
        self.add_gradient(gradient, x, dy);
        dy.dot(&self.of(parameters).t())
    }

    /// Add the gradient `xᵀ dy` of the product `y = x W`.
    pub fn add_gradient(&self, gradient: &mut [f32], x: &ArrayView2<'_, f32>, dy: &Array2<f32>) {
        general_mat_mul(1.0, &x.t(), dy, 1.0, &mut self.of_mut(gradient));
    }
}

/// Makes the parameters of a network, layer by layer.
pub struct Layout {
    pub parameters: Vec<f32>,
    random: SmallRng,
}

impl Layout {
    pub fn new(random: SmallRng) -> Self {
        Self { parameters: Vec::new(), random }
    }

    fn add(&mut self, rows: usize, columns: usize, mut value: impl FnMut(&mut SmallRng) -> f32) -> ParameterMatrix {
        let start = self.parameters.len();
        let values = (0..rows * columns).map(|_| value(&mut self.random));
        self.parameters.extend(values);
        ParameterMatrix { start, rows, columns }
    }

    /// A matrix of uniform values of the given variance.
    pub fn matrix(&mut self, rows: usize, columns: usize, variance: f32) -> ParameterMatrix {
        let bound = (3.0 * variance).sqrt();
        self.add(rows, columns, |random| bound * (2.0 * random.random::<f32>() - 1.0))
    }

    pub fn constant(&mut self, columns: usize, value: f32) -> ParameterMatrix {
        self.add(1, columns, |_| value)
    }

    /// A layer whose outputs have `gain` times the variance of its inputs: 2 before a ReLU (He et
    /// al. 2015), 1 elsewhere, 0 for a layer that starts at zero.
    pub fn linear(&mut self, inputs: usize, outputs: usize, gain: f32) -> Linear {
        let weight = self.matrix(inputs, outputs, gain / inputs as f32);
        Linear { weight, bias: self.constant(outputs, 0.0) }
    }

    pub fn norm(&mut self, columns: usize) -> LayerNorm {
        LayerNorm { scale: self.constant(columns, 1.0), shift: self.constant(columns, 0.0) }
    }
}

/// `y = x W + b`, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    pub weight: ParameterMatrix,
    pub bias: ParameterMatrix,
}

impl Linear {
    pub fn forward(&self, parameters: &[f32], x: &ArrayView2<'_, f32>) -> Array2<f32> {
        x.dot(&self.weight.of(parameters)) + self.bias.vector(parameters)
    }

    /// Add the layer's gradient, and give that of `x`.
    pub fn backward(
        &self,
        parameters: &[f32],
        gradient: &mut [f32],
        x: &ArrayView2<'_, f32>,
        dy: &Array2<f32>,
    ) -> Array2<f32> {
        add_columns(self.bias, gradient, dy);
        self.weight.backward(parameters, gradient, x, dy)
    }
}

/// Add the gradient of a bias.
pub fn add_columns(bias: ParameterMatrix, gradient: &mut [f32], dy: &Array2<f32>) {
    let mut sum = bias.vector_mut(gradient);
    dy.outer_iter().for_each(|row| sum += &row);
}

/// Rows brought to mean 0 and variance 1, then scaled and shifted by column (Ba et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    pub scale: ParameterMatrix,
    pub shift: ParameterMatrix,
}

/// What [`LayerNorm`] adds to a variance, so that equal values do not divide by zero: the default of
/// PyTorch and ONNX.
pub const NORM_EPSILON: f32 = 1e-5;

/// What the gradient of a [`LayerNorm`] needs of its forward pass.
pub struct Normed {
    pub y: Array2<f32>,
    normalized: Array2<f32>,
    /// Of each row, 1 / its standard deviation.
    inverse: Array1<f32>,
}

impl LayerNorm {
    pub fn forward(&self, parameters: &[f32], x: &Array2<f32>) -> Normed {
        let mut normalized = x.clone();
        let inverse = normalized.outer_iter_mut().map(|mut row| {
            let n = row.len() as f32;
            row -= row.sum() / n;
            let inverse = 1.0 / (row.fold(0.0, |sum, x| sum + x * x) / n + NORM_EPSILON).sqrt();
            row *= inverse;
            inverse
        });
        let inverse = inverse.collect();
        let y = &normalized * &self.scale.vector(parameters) + self.shift.vector(parameters);
        Normed { y, normalized, inverse }
    }

    /// Add the layer's gradient, and give that of `x`.
    pub fn backward(&self, parameters: &[f32], gradient: &mut [f32], normed: &Normed, dy: &Array2<f32>) -> Array2<f32> {
        add_columns(self.shift, gradient, dy);
        add_columns(self.scale, gradient, &(dy * &normed.normalized));
        let mut dx = dy * &self.scale.vector(parameters);
        Zip::from(dx.rows_mut()).and(normed.normalized.rows()).and(&normed.inverse).for_each(|mut row, x, &inverse| {
            let n = row.len() as f32;
            let (mean, along) = (row.sum() / n, row.dot(&x) / n);
            Zip::from(&mut row).and(&x).for_each(|dx, &x| *dx = inverse * (*dx - mean - x * along));
        });
        dx
    }
}

/// Values below 0 become 0.
pub fn relu(x: &mut Array2<f32>) {
    x.mapv_inplace(|x| x.max(0.0));
}

/// The gradient through [`relu`], whose result was `y`, dropped out or not.
pub fn relu_backward(y: &Array2<f32>, dy: &mut Array2<f32>) {
    Zip::from(dy).and(y).for_each(|dy, &y| {
        if y <= 0.0 {
            *dy = 0.0;
        }
    });
}

/// Dropout while a network is trained: a share of the values becomes 0, the others grow by as much.
pub struct Dropout {
    pub share: f32,
    pub random: SmallRng,
}

/// What each value was multiplied with; `None`: with 1.
pub type Mask = Option<Array2<f32>>;

/// Drop values out, if at all.
pub fn drop_out(x: &mut Array2<f32>, dropout: &mut Option<Dropout>) -> Mask {
    let Dropout { share, random } = dropout.as_mut().filter(|dropout| dropout.share > 0.0)?;
    let below = (f64::from(*share) * 2f64.powi(32)) as u32;
    let kept = 1.0 / (1.0 - *share);
    let mask = Array2::from_shape_simple_fn(x.dim(), || if random.next_u32() < below { 0.0 } else { kept });
    *x *= &mask;
    Some(mask)
}

/// The gradient through [`drop_out`].
pub fn drop_out_backward(mask: &Mask, dy: &mut Array2<f32>) {
    if let Some(mask) = mask {
        *dy *= mask;
    }
}
