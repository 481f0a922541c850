//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019).

use rayon::prelude::*;

/// Decay of the means of the gradient and of its square: Kingma and Ba's.
const BETA: [f32; 2] = [0.9, 0.999];

/// Added to the root of the mean square: likewise.
const EPSILON: f32 = 1e-8;

/// Share of a parameter that a step at rate 1 takes away: the default of PyTorch's AdamW.
const WEIGHT_DECAY: f32 = 0.01;

/// Parameters that a thread takes at a time: 64 KiB of each vector. No effect on the result.
const CHUNK: usize = 1 << 14;

pub struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Adam {
    pub fn new(parameters: usize) -> Self {
        Self { mean: vec![0.0; parameters], square: vec![0.0; parameters], steps: 0 }
    }

    /// One step along the sum of some gradients, in their order.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[Vec<f32>], rate: f32) {
        self.steps += 1;
        let [first, second] = BETA;
        let (first_scale, second_scale) = (1.0 - first.powi(self.steps), 1.0 - second.powi(self.steps));
        let chunks = parameters.par_chunks_mut(CHUNK).zip(self.mean.par_chunks_mut(CHUNK));
        chunks.zip(self.square.par_chunks_mut(CHUNK)).enumerate().for_each(|(at, ((parameters, means), squares))| {
            let mut sum = vec![0.0; parameters.len()];
            for gradient in gradients {
                sum.iter_mut().zip(&gradient[at * CHUNK..]).for_each(|(sum, gradient)| *sum += gradient);
            }
            for (((parameter, mean), square), gradient) in parameters.iter_mut().zip(means).zip(squares).zip(sum) {
                *mean = first * *mean + (1.0 - first) * gradient;
                *square = second * *square + (1.0 - second) * gradient * gradient;
                let step = (*mean / first_scale) / ((*square / second_scale).sqrt() + EPSILON);
                *parameter -= rate * (step + WEIGHT_DECAY * *parameter);
            }
        });
    }
}
