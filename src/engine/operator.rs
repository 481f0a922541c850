//! The operators of a plan as nodes of a graph, and how their values are computed: each once, when its
//! first reader asks for it, and kept until its last reader has it.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use super::failure::{Failure, Result};
use super::host::Host;
use super::limits::Limits;
use super::models::{ModelFile, Models};
use super::refusal::Result as Checked;
use super::relation::{Collected, CollectedColumn, CollectedKeys, Relation};
use super::table::{Column, Rows, Table, TableOf, Type};
use crate::core::monitor::Monitor;

/// How much a run has to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    pub points: usize,
    pub dim: usize,
    pub edges: usize,
}

/// A step of a plan: its parameters and inputs are its fields, and it says what it gives.
pub trait Operator: Debug + PartialEq + Send + Sync + Sized + 'static {
    /// The value that other operators read, and whose rows are the result.
    type Output: Rows;

    /// The nodes that it reads; first the one whose ids the result has.
    fn inputs(&self) -> Vec<usize>;

    /// The columns of the result. A row whose first column is NULL is not one.
    fn columns(&self) -> Vec<Column<Self::Output>>;

    fn run(&self, run: &mut Run<'_>) -> Result<Self::Output>;

    /// The model file that it needs.
    fn model(&self) -> Option<&ModelFile> {
        None
    }

    /// Bytes of an edge that it or what follows it needs at its peak, once the graph is there: P, with
    /// its roots and the distances, or with its transpose; or P and the similarities.
    fn edge_bytes(&self) -> u64 {
        36
    }

    /// Seconds of one thread that it takes, about: its share of the progress is by that.
    fn seconds(&self, extent: Extent) -> f64 {
        extent.edges as f64 * 2e-8
    }

    /// The neighbors of a point, if it finds them.
    fn neighbors(&self) -> Option<usize> {
        None
    }

    /// What is to be checked with the host before the work.
    fn check(&self, _host: &dyn Host) -> Checked<()> {
        Ok(())
    }

    /// What is to be done with the host after the work.
    fn store(&self, _output: &Self::Output, _host: &dyn Host) -> Checked<()> {
        Ok(())
    }
}

/// An [`Operator`] of any type.
pub trait AnyOperator: Any + Debug + Send + Sync {
    fn is(&self, other: &dyn AnyOperator) -> bool;
    fn inputs(&self) -> Vec<usize>;
    fn columns(&self) -> Vec<(String, Type)>;
    fn run(&self, run: &mut Run<'_>) -> Result<NodeValue>;
    fn table(&self, output: NodeValue) -> Box<dyn Table>;
    fn model(&self) -> Option<&ModelFile>;
    fn edge_bytes(&self) -> u64;
    fn seconds(&self, extent: Extent) -> f64;
    fn neighbors(&self) -> Option<usize>;
    fn check(&self, host: &dyn Host) -> Checked<()>;
    fn store(&self, output: &dyn Any, host: &dyn Host) -> Checked<()>;
}

/// The value of a node.
type NodeValue = Arc<dyn Any + Send + Sync>;

fn value_of<T: Send + Sync + 'static>(value: NodeValue) -> Arc<T> {
    value.downcast().unwrap_or_else(|_| unreachable!("an input is of the type that its node gives"))
}

impl<O: Operator> AnyOperator for O {
    fn is(&self, other: &dyn AnyOperator) -> bool {
        (other as &dyn Any).downcast_ref::<O>() == Some(self)
    }

    fn inputs(&self) -> Vec<usize> {
        self.inputs()
    }

    fn columns(&self) -> Vec<(String, Type)> {
        let columns = self.columns().into_iter();
        columns.map(|column| (column.name.clone(), column.of_type)).collect()
    }

    fn run(&self, run: &mut Run<'_>) -> Result<NodeValue> {
        Ok(Arc::new(self.run(run)?))
    }

    fn table(&self, output: NodeValue) -> Box<dyn Table> {
        Box::new(TableOf::<O::Output> { output: value_of(output), columns: self.columns() })
    }

    fn model(&self) -> Option<&ModelFile> {
        self.model()
    }

    fn edge_bytes(&self) -> u64 {
        self.edge_bytes()
    }

    fn seconds(&self, extent: Extent) -> f64 {
        self.seconds(extent)
    }

    fn neighbors(&self) -> Option<usize> {
        self.neighbors()
    }

    fn check(&self, host: &dyn Host) -> Checked<()> {
        self.check(host)
    }

    fn store(&self, output: &dyn Any, host: &dyn Host) -> Checked<()> {
        output.downcast_ref().map_or(Ok(()), |output| self.store(output, host))
    }
}

/// A node of a plan.
#[derive(Debug, Clone)]
pub enum Node {
    Relation(Relation),
    Operator(Arc<dyn AnyOperator>),
}

impl Node {
    pub fn inputs(&self) -> Vec<usize> {
        match self {
            Self::Relation(_) => vec![],
            Self::Operator(operator) => operator.inputs(),
        }
    }

    /// Whether the two give the same.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Relation(one), Self::Relation(other)) => one.same(other),
            (Self::Operator(one), Self::Operator(other)) => one.is(&**other),
            _ => false,
        }
    }
}

/// A node that gives a `T`, as one of its readers knows it.
pub struct Input<T> {
    pub node: usize,
    /// The function that reads it, for messages.
    pub reader: &'static str,
    gives: PhantomData<fn() -> T>,
}

impl<T> Input<T> {
    /// The node must give a `T`.
    pub fn new(node: usize, reader: &'static str) -> Self {
        Self { node, reader, gives: PhantomData }
    }
}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Input<T> {}

impl<T> PartialEq for Input<T> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<T> Debug for Input<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Input({})", self.node)
    }
}

/// A value that can be made of the rows of a relation.
pub trait FromRows: Send + Sync + Sized + 'static {
    /// `label` is the call that reads them.
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self>;
}

/// The computation of a plan.
pub struct Run<'a> {
    nodes: &'a [Node],
    /// The node whose value is the result.
    root: usize,
    /// Readers of each node that have not yet read it.
    readers: Vec<usize>,
    /// What is asked for again.
    values: Vec<Option<NodeValue>>,
    /// The rows of the relations that were not yet asked for.
    collected: Vec<Option<Collected>>,
    pub limits: Limits,
    pub models: Models,
    pub monitor: &'a Monitor,
    /// Where each operator ends in the progress, in the order in which they work, the next one first.
    ends: VecDeque<f64>,
    /// Where the next one begins.
    begin: f64,
}

impl<'a> Run<'a> {
    /// `collected` has the rows of each relation at the place of its node.
    pub fn new(
        nodes: &'a [Node],
        root: usize,
        collected: Vec<Option<Collected>>,
        limits: Limits,
        models: Models,
        monitor: &'a Monitor,
    ) -> Self {
        let mut readers = vec![0; nodes.len()];
        nodes.iter().flat_map(Node::inputs).for_each(|input| readers[input] += 1);
        let ends = ends(nodes, root, extent(nodes, &collected));
        let values = vec![None; nodes.len()];
        let mut run = Self { nodes, root, readers, values, collected, limits, models, monitor, ends, begin: 0.0 };
        run.next_part();
        run
    }

    /// Let what is reported from now on be of the operator that works next.
    fn next_part(&mut self) {
        if let Some(end) = self.ends.pop_front() {
            self.monitor.part(self.begin..end);
            self.begin = end;
        }
    }

    /// The result.
    pub fn result(mut self) -> Result<Box<dyn Table>> {
        if !self.models.is_empty() {
            self.check_models()?;
        }
        let Node::Operator(root) = &self.nodes[self.root] else { unreachable!("the last node is an operator") };
        let output = root.run(&mut self)?;
        Ok(root.table(output))
    }

    /// Try the models, and compare the dimensions that they take with those of the rows.
    fn check_models(&self) -> Result<()> {
        for (node, rows) in self.collected.iter().enumerate() {
            let (Node::Relation(relation), Some(rows)) = (&self.nodes[node], rows) else { continue };
            let dim = rows.columns.iter().find_map(|column| match column {
                CollectedColumn::Embeddings(rows) => rows.dim(),
                _ => None,
            });
            if let Some(dim) = dim {
                self.models.check_dim(node, dim, || embedding_text(relation)).map_err(Failure::said)?;
            }
        }
        self.models.dry_run(self.monitor)
    }

    /// Whether the node whose value is the result is this one.
    pub fn is_result(&self, operator: &impl Operator) -> bool {
        matches!(&self.nodes[self.root], Node::Operator(root) if operator.is(&**root))
    }

    /// Whether readers of a value are left, beside the one that asks.
    pub fn is_read_again<T>(&self, input: Input<T>) -> bool {
        self.readers[input.node] > 1
    }

    /// The relation that an input is.
    pub fn relation<T>(&self, input: Input<T>) -> &'a Relation {
        match &self.nodes[input.node] {
            Node::Relation(relation) => relation,
            Node::Operator(_) => unreachable!("the input is a relation"),
        }
    }

    /// The call that reads a relation.
    pub fn label<T>(&self, input: Input<T>) -> String {
        self.relation(input).label(input.reader)
    }

    /// Likewise; that of another call where the input is an operator.
    pub fn label_or<T>(&self, input: Input<T>, other: String) -> String {
        match &self.nodes[input.node] {
            Node::Relation(_) => self.label(input),
            Node::Operator(_) => other,
        }
    }

    /// What the operators of the plan need an edge, see [`Operator::edge_bytes`]; nothing if the graph
    /// is the result.
    pub fn edge_bytes(&self, graph: &impl Operator) -> u64 {
        if self.is_result(graph) { 0 } else { self.most_edge_bytes() }
    }

    /// The most that an operator of the plan needs an edge.
    pub fn most_edge_bytes(&self) -> u64 {
        let of = |node: &Node| match node {
            Node::Operator(operator) => operator.edge_bytes(),
            Node::Relation(_) => 0,
        };
        self.nodes.iter().map(of).max().unwrap_or(0)
    }

    /// The rows of the only relation that has all points, where they are known before the work: not if
    /// edges or a second relation name them.
    pub fn all_points(&self) -> Option<&CollectedKeys> {
        let mut all = self.nodes.iter().zip(&self.collected).filter_map(|(node, rows)| match node {
            Node::Relation(relation) if relation.reads.has_all_points => rows.as_ref().map(|rows| &rows.keys),
            _ => None,
        });
        all.next().filter(|_| all.next().is_none())
    }

    /// The value of an input that is an operator's.
    pub fn value<T: Send + Sync + 'static>(&mut self, input: Input<T>) -> Result<Arc<T>> {
        self.read_by(input, |_, _| unreachable!("the input is an operator"))
    }

    /// The value of an input that is an operator's or made of the rows of a relation.
    pub fn read<T: FromRows>(&mut self, input: Input<T>) -> Result<Arc<T>> {
        self.read_by(input, |run, relation| {
            let rows = run.collected[input.node].take().expect("every relation is collected, and read once");
            let label = relation.label(input.reader);
            let (count, more) = (rows.len(), rows.order_bytes());
            let what = if matches!(rows.keys, CollectedKeys::Ids(_)) { "rows" } else { "edges" };
            run.limits.check_more(&label, || format!("{count} {what}"), more)?;
            T::from_rows(rows, &label, run)
        })
    }

    /// Likewise, as its owner; a copy is made only where others read it too.
    pub fn take<T: FromRows + Clone>(&mut self, input: Input<T>) -> Result<T> {
        self.read(input).map(Arc::unwrap_or_clone)
    }

    fn read_by<T: Send + Sync + 'static>(
        &mut self,
        Input { node, .. }: Input<T>,
        of_rows: impl FnOnce(&mut Self, &'a Relation) -> Result<T>,
    ) -> Result<Arc<T>> {
        let value = match self.values[node].take() {
            Some(value) => value,
            None => match &self.nodes[node] {
                Node::Operator(operator) => {
                    let value = operator.run(self)?;
                    self.next_part();
                    value
                }
                Node::Relation(relation) => Arc::new(of_rows(self, relation)?),
            },
        };
        self.readers[node] = self.readers[node].checked_sub(1).expect("an operator names all its inputs");
        if self.readers[node] > 0 {
            self.values[node] = Some(value.clone());
        }
        Ok(value_of(value))
    }
}

/// How much there is to do with these rows.
fn extent(nodes: &[Node], collected: &[Option<Collected>]) -> Extent {
    let mut extent = Extent::default();
    for rows in collected.iter().flatten() {
        match rows.keys {
            CollectedKeys::Ids(_) => extent.points = extent.points.max(rows.len()),
            CollectedKeys::Ends { .. } => extent.edges = extent.edges.max(rows.len()),
        }
        let dims = rows.columns.iter().filter_map(|column| match column {
            CollectedColumn::Embeddings(rows) => rows.dim(),
            _ => None,
        });
        extent.dim = extent.dim.max(dims.max().unwrap_or(0));
    }
    let neighbors = nodes.iter().filter_map(|node| match node {
        Node::Operator(operator) => operator.neighbors(),
        Node::Relation(_) => None,
    });
    let found = neighbors.max().unwrap_or(0).min(extent.points) * extent.points;
    Extent { edges: extent.edges.max(found), ..extent }
}

/// Where each operator ends in the progress, in the order in which they work: each after its inputs.
fn ends(nodes: &[Node], root: usize, extent: Extent) -> VecDeque<f64> {
    fn visit(nodes: &[Node], node: usize, seen: &mut [bool], seconds: &mut Vec<f64>, extent: Extent) {
        if let (Node::Operator(operator), false) = (&nodes[node], std::mem::replace(&mut seen[node], true)) {
            operator.inputs().into_iter().for_each(|input| visit(nodes, input, seen, seconds, extent));
            seconds.push(operator.seconds(extent).max(1e-9));
        }
    }
    let mut seconds = Vec::new();
    visit(nodes, root, &mut vec![false; nodes.len()], &mut seconds, extent);
    let all: f64 = seconds.iter().sum();
    seconds
        .iter()
        .scan(0.0, |done, seconds| {
            *done += seconds / all;
            Some(done.min(1.0))
        })
        .collect()
}

/// A relation's column of embeddings, in words.
pub fn embedding_text(relation: &Relation) -> String {
    let Relation { argument, name, reads, .. } = relation;
    format!("column \"{}\" of {argument} \"{name}\"", reads.embedding().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many seconds as it says for 100 points of 10 neighbors each.
    #[derive(Debug, PartialEq)]
    struct Step {
        inputs: Vec<usize>,
        seconds: f64,
    }

    struct Nothing;

    impl Rows for Nothing {
        fn count(&self) -> usize {
            0
        }

        fn ids(&self) -> Vec<Arc<crate::engine::ids::Ids>> {
            vec![]
        }
    }

    impl Operator for Step {
        type Output = Nothing;

        fn inputs(&self) -> Vec<usize> {
            self.inputs.clone()
        }

        fn columns(&self) -> Vec<Column<Nothing>> {
            vec![]
        }

        fn run(&self, run: &mut Run<'_>) -> Result<Nothing> {
            for &node in &self.inputs {
                run.value::<Nothing>(Input::new(node, "a test"))?;
            }
            Ok(Nothing)
        }

        fn seconds(&self, extent: Extent) -> f64 {
            self.seconds * (extent.edges as f64 / 1000.0)
        }
    }

    #[test]
    fn each_operator_has_its_share_of_the_progress() {
        let step = |inputs: &[usize], seconds| Node::Operator(Arc::new(Step { inputs: inputs.into(), seconds }));
        // Two read the first, and the last reads both.
        let nodes = [step(&[], 5.0), step(&[0], 2.0), step(&[0], 1.0), step(&[2, 1], 2.0)];
        let extent = Extent { points: 100, dim: 8, edges: 1000 };
        assert_eq!(ends(&nodes, 3, extent), [0.5, 0.6, 0.8, 1.0]);
        let monitor = Monitor::new();
        let (limits, models) = (Limits { threads: 1, memory: 1 << 30, account: Default::default() }, Models::default());
        let mut run = Run::new(&nodes, 3, vec![None, None, None, None], limits, models, &monitor);
        run.value::<Nothing>(Input::new(0, "a test")).unwrap();
        // Without rows there are no edges, and all are alike.
        assert_eq!(monitor.progress(), 0.25);
    }
}
