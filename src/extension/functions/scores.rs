//! `pairwise_f`, `bcubed_f`, `adjusted_rand` and `normalized_mutual_info`: how well clusters agree
//! with labels, as aggregates over two columns of any type.

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

use super::super::guarded;
use super::super::ids::{Interner, Key, equality};
use crate::scores::{Contingency, PrecisionRecall};

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
    Three(fn(&Contingency) -> Option<PrecisionRecall>),
    One(fn(&Contingency) -> Option<f64>),
}

const SCORES: [Score; 4] = [
    Score {
        name: "pairwise_f",
        description: "Pairwise precision, recall and F of clusters against true labels, over the pairs of two different rows: of those in one cluster, how many share a label (precision), and the other way round (recall). A value is NULL where there is no such pair.",
        of: Of::Three(Contingency::pairwise),
    },
    Score {
        name: "bcubed_f",
        description: "BCubed precision, recall and F of clusters against true labels: the mean over rows of the share of a row's cluster that has its label (precision), and of its label that is in its cluster (recall). Large clusters weigh less than in pairwise_f.",
        of: Of::Three(Contingency::bcubed),
    },
    Score {
        name: "adjusted_rand",
        description: "Adjusted Rand index of clusters and labels: 1 for full agreement, 0 for what chance gives, at least -0.5.",
        of: Of::One(Contingency::adjusted_rand),
    },
    Score {
        name: "normalized_mutual_info",
        description: "Mutual information of clusters and labels, divided by the mean of their entropies: 1 for full agreement, 0 where neither tells of the other.",
        of: Of::One(Contingency::normalized_mutual_info),
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

/// The counts of one group, so far. Numbers count as they are; other values are numbered first.
#[derive(Default, Clone)]
struct State {
    counts: Contingency,
    // Boxed, because a group of numbers has none, and there may be many groups.
    labels: Option<Box<Interner>>,
    clusters: Option<Box<Interner>>,
}

fn number(numbers: &mut Option<Box<Interner>>, key: Key<'_>) -> Result<u64> {
    match key {
        Key::Number(number) => Ok(number),
        key => numbers.get_or_insert_with(|| Box::new(Interner::of_keys())).intern_key(key).map(u64::from),
    }
}

/// Take in the values of another group; gives what becomes of a number of its.
fn absorb(numbers: &mut Option<Box<Interner>>, others: Option<&Interner>) -> Result<impl Fn(u64) -> u64> {
    let renumbered = match others {
        Some(others) => Some(numbers.get_or_insert_with(|| Box::new(Interner::of_keys())).absorb_keys(others)?),
        None => None,
    };
    Ok(move |number| renumbered.as_ref().map_or(number, |numbers| u64::from(numbers[number as usize])))
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
        mut states: States<'_, State>,
    ) -> Result<()> {
        guarded(|| {
            for column in 0..2 {
                let mut vector = vectors.get_untyped_vector_at_mut(column)?;
                if vector.storage_kind() == StorageKind::Other {
                    vector.flatten()?;
                }
            }
            let mut labels = Vec::with_capacity(states.len());
            equality::read(vectors.get_untyped_vector_at(0)?, |row, label| {
                labels.push(label.map(|label| number(&mut states[row].labels, label)).transpose()?);
                Ok(())
            })?;
            equality::read(vectors.get_untyped_vector_at(1)?, |row, cluster| {
                let Some(label) = labels[row] else { return Ok(()) };
                let State { counts, clusters, .. } = &mut states[row];
                counts.add(label, cluster.map(|cluster| number(clusters, cluster)).transpose()?);
                Ok(())
            })
        })
    }

    // A window combines the same source several times, so it stays as it is.
    fn combine(
        &self,
        _: Option<&&'static str>,
        sources: &States<'_, State>,
        mut targets: States<'_, State>,
    ) -> Result<()> {
        guarded(|| {
            for (at, source) in sources.iter().enumerate() {
                let State { counts, labels, clusters } = &mut targets[at];
                if counts.is_empty() {
                    targets[at] = source.clone();
                    continue;
                }
                let label = absorb(labels, source.labels.as_deref())?;
                let cluster = absorb(clusters, source.clusters.as_deref())?;
                counts.merge(&source.counts, label, cluster);
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
                    let row = score(&state.counts).map(|PrecisionRecall { precision, recall, f }| PrecisionRecallRow {
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
                states.iter().enumerate().try_for_each(|(at, state)| writer.set(offset + at, score(&state.counts)))
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
