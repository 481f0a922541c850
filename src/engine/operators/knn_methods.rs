//! `knn_methods(n, dim, k)`: what each method of `knn_graph` takes.

use crate::core::knn::{self, Estimate, choice, estimates};
use crate::engine::argument::Argument;
use crate::engine::prelude::*;

pub static FUNCTION: Function = Function {
    name: "knn_methods",
    description: "What knn_graph takes by each method that method := 'auto' chooses from, and which one it chooses, by measurements: seconds on a processor with AVX-512 VNNI and as many threads as the setting, the share of the exact neighbors that are found (recall), and of their weight exp(-distance / 0.1) (mass).",
    returns: "Returns method, chosen, seconds, recall and mass.",
    parameters: &[&N, &DIM, &K],
    examples: &["FROM knn_methods(1_000_000, 256)"],
    nested_example: None,
    build: |call| {
        let (n, dim, k) = (call.get(&N)?, call.get(&DIM)?, call.get(&K)?);
        Ok(call.add(KnnMethods { n, dim, k }).node)
    },
};

const N: Parameter<AtLeastOne> =
    Parameter { name: "n", default: DefaultValue::Required, takes: AtLeastOne, description: "number of points" };
const DIM: Parameter<AtLeastOne> = Parameter {
    name: "dim",
    default: DefaultValue::Required,
    takes: AtLeastOne,
    description: "dimensions of an embedding",
};
const K: Parameter<AtLeastOne> = Parameter {
    name: "k",
    default: DefaultValue::Integer(knn::K as i32),
    takes: AtLeastOne,
    description: "neighbors of a point",
};

/// A number of at least 1.
struct AtLeastOne;

impl Takes for AtLeastOne {
    type Given = usize;

    fn read(&self, argument: &Argument) -> Result<usize, Wrong> {
        Count(1).read(argument)
    }

    fn null(&self) -> Result<usize, Wrong> {
        Err("must be a whole number of at least 1, got NULL".into())
    }
}

#[derive(Debug, PartialEq)]
struct KnnMethods {
    n: usize,
    dim: usize,
    k: usize,
}

/// What a method takes on all threads.
struct MethodRow {
    estimate: Estimate,
    chosen: bool,
    seconds: f64,
}

impl Operator for KnnMethods {
    type Output = List<MethodRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![]
    }

    fn columns(&self) -> Vec<Column<List<MethodRow>>> {
        vec![
            text("method", |list: &Self::Output, rows| list.each(rows, |row| row.estimate.method.name())),
            boolean("chosen", |list: &Self::Output, rows| list.each(rows, |row| row.chosen)),
            double("seconds", |list: &Self::Output, rows| list.each(rows, |row| row.seconds)),
            double("recall", |list: &Self::Output, rows| list.each(rows, |row| row.estimate.recall)),
            double("mass", |list: &Self::Output, rows| list.each(rows, |row| row.estimate.mass)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<MethodRow>> {
        let Self { n, dim, k } = *self;
        let (chosen, threads) = (choice(n, dim, k), run.limits.threads as f64);
        let row = |estimate: Estimate| MethodRow {
            chosen: estimate.method == chosen,
            seconds: estimate.seconds / threads,
            estimate,
        };
        Ok(List { rows: estimates(n, dim, k).map(row).into(), ids: vec![] })
    }
}
