//! `pairwise_f`, `bcubed_f`, `adjusted_rand` and `normalized_mutual_info`: how well clusters agree
//! with labels, as aggregates over two columns of any type.

use std::hash::Hash;

use duckdb_neo::AsDuckDB;
use duckdb_neo::aggregate::{AggregateCallbacks, AggregateFunctionBuilder, ReturnTypeHandle, States};
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::enums::{AggregateFunctionProperty, FunctionProperty};
use duckdb_neo::extension::Extension;
use duckdb_neo::signature::{FunctionDocumentationBuilder, FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{StorageKind, Unknown, Vector};
use duckdb_neo::{Result, bind_arguments::BindArguments};

use super::errors::guarded;
use super::ids::{Digest, Distinct, read_distinct};
use crate::core::scores::{Contingency, PrecisionRecall};

/// A score of two columns, and what users read of it.
#[derive(Clone, Copy)]
struct Score {
    name: &'static str,
    description: &'static str,
    of: Of,
}

/// How a score is taken from the counts.
#[derive(Clone, Copy)]
enum Of {
    Three(Both<PrecisionRecall>),
    One(Both<f64>),
}

/// Of counts of numbers, and of digests.
type Both<T> = (fn(&Contingency<u64>) -> Option<T>, fn(&Contingency<Digest>) -> Option<T>);

const SCORES: [Score; 4] = [
    Score {
        name: "pairwise_f",
        description: "Pairwise precision, recall and F of clusters against true labels, over the pairs of two different rows: of those in one cluster, how many share a label (precision), and the other way round (recall). A value is NULL where there is no such pair.",
        of: Of::Three((Contingency::pairwise, Contingency::pairwise)),
    },
    Score {
        name: "bcubed_f",
        description: "BCubed precision, recall and F of clusters against true labels: the mean over rows of the share of a row's cluster that has its label (precision), and of its label that is in its cluster (recall). Large clusters weigh less than in pairwise_f.",
        of: Of::Three((Contingency::bcubed, Contingency::bcubed)),
    },
    Score {
        name: "adjusted_rand",
        description: "Adjusted Rand index of clusters and labels: 1 for full agreement, 0 for what chance gives, at least -0.5.",
        of: Of::One((Contingency::adjusted_rand, Contingency::adjusted_rand)),
    },
    Score {
        name: "normalized_mutual_info",
        description: "Mutual information of clusters and labels, divided by the mean of their entropies: 1 for full agreement, 0 where neither tells of the other.",
        of: Of::One((Contingency::normalized_mutual_info, Contingency::normalized_mutual_info)),
    },
];

const PARAMETERS: &str = "\nlabel: the true label, of any type; a row without one is left out\ncluster: the cluster, of any type; a row without one is alone in a cluster of its own";

/// `precision, recall, f` as DuckDB has them.
#[derive(AsDuckDB)]
struct PrecisionRecallRow {
    precision: Option<f64>,
    recall: Option<f64>,
    f: Option<f64>,
}

/// The counts of one group, so far: where both columns are numbers by these, else by digests.
#[derive(Default)]
struct State {
    numbers: Contingency<u64>,
    digests: Contingency<Digest>,
}

impl State {
    fn score<T>(&self, (of_numbers, of_digests): Both<T>) -> Option<T> {
        of_numbers(&self.numbers).or_else(|| of_digests(&self.digests))
    }
}

/// What a value is counted by.
trait Counted: Copy + Hash + Ord {
    fn of(value: Distinct) -> Self;
    fn counts(state: &mut State) -> &mut Contingency<Self>;
}

impl Counted for u64 {
    fn of(value: Distinct) -> u64 {
        match value {
            Distinct::Number(number) => number,
            Distinct::Digest(_) => unreachable!("both columns are numbers"),
        }
    }

    fn counts(state: &mut State) -> &mut Contingency<u64> {
        &mut state.numbers
    }
}

impl Counted for Digest {
    fn of(value: Distinct) -> Digest {
        match value {
            Distinct::Number(number) => [number, 0],
            Distinct::Digest(digest) => digest,
        }
    }

    fn counts(state: &mut State) -> &mut Contingency<Digest> {
        &mut state.digests
    }
}

fn count<K: Counted>(
    labels: &Vector<'_, Unknown>,
    clusters: &Vector<'_, Unknown>,
    mut states: States<'_, State>,
) -> Result<()> {
    let mut keys = Vec::with_capacity(states.len());
    read_distinct(labels, |_, label| {
        keys.push(label.map(K::of));
        Ok(())
    })?;
    read_distinct(clusters, |row, cluster| {
        if let Some(label) = keys[row] {
            K::counts(&mut states[row]).add(label, cluster.map(K::of));
        }
        Ok(())
    })
}

/// A window combines the same source several times, so it stays as it is.
fn combine<K: Copy + Hash + Ord>(target: &mut Contingency<K>, source: &Contingency<K>) {
    if target.is_empty() { *target = source.clone() } else { target.merge(source) }
}

impl AggregateCallbacks for Score {
    /// The name: DuckDB takes two aggregates of one extension for the same if only their names differ.
    type BindData = &'static str;
    type StateItem = State;

    fn bind(&self, _: &Context, _: BindArguments<'_>, _: ReturnTypeHandle<'_>) -> Result<&'static str> {
        Ok(self.name)
    }

    fn init(&self, _: Option<&&'static str>) -> State {
        State::default()
    }

    fn update(
        &self,
        _: Option<&&'static str>,
        vectors: &mut VectorCollection,
        states: States<'_, State>,
    ) -> Result<()> {
        guarded(|| {
            for column in 0..2 {
                let mut vector = vectors.get_untyped_vector_at_mut(column)?;
                if vector.storage_kind() == StorageKind::Other {
                    vector.flatten()?;
                }
            }
            let (labels, clusters) = (vectors.get_untyped_vector_at(0)?, vectors.get_untyped_vector_at(1)?);
            if Distinct::numbers(labels.logical_type())? && Distinct::numbers(clusters.logical_type())? {
                count::<u64>(labels, clusters, states)
            } else {
                count::<Digest>(labels, clusters, states)
            }
        })
    }

    fn combine(
        &self,
        _: Option<&&'static str>,
        sources: &States<'_, State>,
        mut targets: States<'_, State>,
    ) -> Result<()> {
        guarded(|| {
            for (at, source) in sources.iter().enumerate() {
                let target = &mut targets[at];
                combine(&mut target.numbers, &source.numbers);
                combine(&mut target.digests, &source.digests);
            }
            Ok(())
        })
    }

    fn finalize(
        &self,
        _: Option<&&'static str>,
        states: &[&State],
        output: Vector<'_, Unknown>,
        offset: usize,
    ) -> Result<()> {
        guarded(|| match self.of {
            Of::Three(score) => {
                let mut output = output.cast::<PrecisionRecallRow>()?;
                let mut writer = output.writer()?;
                states.iter().enumerate().try_for_each(|(at, state)| {
                    let row = state.score(score).map(|PrecisionRecall { precision, recall, f }| PrecisionRecallRow {
                        precision,
                        recall,
                        f,
                    });
                    writer.set(offset + at, row)
                })
            }
            Of::One(score) => {
                let mut output = output.cast::<f64>()?;
                let mut writer = output.writer()?;
                states.iter().enumerate().try_for_each(|(at, state)| writer.set(offset + at, state.score(score)))
            }
        })
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    SCORES.into_iter().try_for_each(|score| {
        let docs = FunctionDocumentationBuilder::new()
            .description(format!("{}{PARAMETERS}", score.description))
            .add_example("", format!("SELECT {}(label, cluster_id) FROM clusters JOIN labels USING (id)", score.name))
            .add_category("density_peaks");
        let returns = match score.of {
            Of::Three(_) => PrecisionRecallRow::logical_type(extension)?,
            Of::One(_) => f64::logical_type(extension)?,
        };
        let signature = SignatureBuilder::new()
            .param(FunctionParameter::new::<Any>("label"))
            .param(FunctionParameter::new::<Any>("cluster"))
            .return_type(returns)
            .documentation(docs);
        AggregateFunctionBuilder::new(score.name, signature, score)
            .set_property(FunctionProperty::HasSpecialNullHandling(true))
            .set_property(AggregateFunctionProperty::AggregateOrderDependent(false))
            .register(extension)
    })
}
