//! Calls of functions, nested in each other, as a program that can be written down; and the plan that is
//! made of it: a graph in which each distinct operator is one node.

use std::any::Any;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::argument::{Argument, Value};
use super::failure;
use super::host::Host;
use super::limits::Limits;
use super::models::{ModelFile, Models};
use super::operator::{AnyOperator, Input, Node, Operator, Run};
use super::parameter::{ColumnName, Described, Parameter, RelationName, StageOrName, StageOrRelation, Takes};
use super::refusal::{Refusal, Result, binder, defect, input};
use super::relation::{Collected, Reads, Relation};
use super::table::{Table, Type};
use crate::core::monitor::Monitor;

/// A function that users call: it adds operators to a plan.
pub struct Function {
    pub name: &'static str,
    pub description: &'static str,
    /// What the table has, for the description.
    pub returns: &'static str,
    pub parameters: &'static [&'static dyn Described],
    pub examples: &'static [&'static str],
    /// Example as an argument of another function; `None` if it goes nowhere.
    pub nested_example: Option<&'static str>,
    /// Adds the operators of a call; the last is its result.
    pub build: fn(&mut Call<'_>) -> Result<usize>,
}

/// Calls, each after those whose results it takes; the last is the whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    calls: Vec<Written>,
}

/// A call as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    function: String,
    arguments: Vec<Value>,
}

/// An argument of a call: a value, or another program whose result it takes.
pub enum Given {
    Value(Argument),
    Program(Program),
}

impl Program {
    /// A call of a function, whose arguments are checked.
    ///
    /// # Errors
    /// With what is wrong with them.
    pub fn new(
        functions: &[&'static Function],
        function: &'static Function,
        given: Vec<Given>,
    ) -> Result<(Self, Plan)> {
        let mut program = Self::default();
        let arguments: Vec<Argument> = given.into_iter().map(|given| program.argument(given)).collect();
        let mut plan = program.plan(functions)?;
        plan.call(function, &arguments)?;
        let arguments = arguments.into_iter().map(|argument| argument.value).collect();
        program.calls.push(Written { function: function.name.into(), arguments });
        Ok((program, plan))
    }

    /// The text of a program that was written down.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a program is plain data")
    }

    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|_| not_written())
    }

    /// The function whose call is the whole.
    pub fn function(&self) -> &str {
        self.calls.last().map_or("", |call| &call.function)
    }

    /// Take over the calls of a program that an argument is, each once.
    fn argument(&mut self, given: Given) -> Argument {
        let program = match given {
            Given::Value(argument) => return argument,
            Given::Program(program) => program,
        };
        let text = format!("{}(...)", program.function());
        let mut places = Vec::with_capacity(program.calls.len());
        for mut call in program.calls {
            for argument in &mut call.arguments {
                if let Value::Stage { call } = argument {
                    *call = places.get(*call).copied().unwrap_or(usize::MAX);
                }
            }
            let known = self.calls.iter().position(|other| *other == call);
            places.push(known.unwrap_or_else(|| {
                self.calls.push(call);
                self.calls.len() - 1
            }));
        }
        Argument { value: Value::Stage { call: places.last().copied().unwrap_or(usize::MAX) }, text }
    }

    /// The operators of all calls.
    ///
    /// # Errors
    /// If the program was not written by [`Program::to_json`].
    pub fn plan(&self, functions: &[&'static Function]) -> Result<Plan> {
        let mut plan = Plan::default();
        for call in &self.calls {
            let function = functions.iter().find(|function| function.name == call.function);
            let function = function.ok_or_else(not_written)?;
            let arguments: Vec<Argument> = call.arguments.iter().map(Argument::of).collect();
            plan.call(function, &arguments)?;
        }
        Ok(plan)
    }
}

/// An error of who has written a program by hand.
fn not_written() -> Refusal {
    input("a plan of density_peaks must be one that its functions give")
}

/// The operators of a program and the relations that they read, each once and after its inputs.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    nodes: Vec<Node>,
    /// The function and the node of each call.
    calls: Vec<(&'static str, usize)>,
}

impl Plan {
    fn call(&mut self, function: &'static Function, arguments: &[Argument]) -> Result<()> {
        if arguments.len() != function.parameters.len() {
            return Err(not_written());
        }
        let node = (function.build)(&mut Call { function, arguments, plan: self })?;
        self.calls.push((function.name, node));
        Ok(())
    }

    fn add(&mut self, node: Node) -> usize {
        let known = self.nodes.iter().position(|other| node.is(other));
        known.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn root(&self) -> usize {
        self.calls.last().map_or(0, |call| call.1)
    }

    fn operator(&self) -> Result<&dyn AnyOperator> {
        match self.nodes.get(self.root()) {
            Some(Node::Operator(operator)) => Ok(&**operator),
            _ => Err(not_written()),
        }
    }

    /// The function whose call is the whole.
    pub fn function(&self) -> &'static str {
        self.calls.last().map_or("density_peaks", |call| call.0)
    }

    /// Number of operators and relations.
    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The columns of the result.
    pub fn columns(&self) -> Result<Vec<(String, Type)>> {
        Ok(self.operator()?.columns())
    }

    /// The nodes of the relations that are read, with them; first the one whose ids the result has.
    pub fn relations(&self) -> Vec<(usize, &Relation)> {
        let mut found = Vec::new();
        self.find_relations(self.root(), &mut found);
        found
    }

    fn find_relations<'a>(&'a self, node: usize, found: &mut Vec<(usize, &'a Relation)>) {
        match self.nodes.get(node) {
            Some(Node::Relation(relation)) if found.iter().all(|other| other.0 != node) => {
                found.push((node, relation));
            }
            Some(Node::Operator(operator)) => {
                operator.inputs().into_iter().for_each(|input| self.find_relations(input, found));
            }
            _ => {}
        }
    }

    /// Open the model files that operators need.
    pub fn open_models(&self, host: &dyn Host) -> Result<Models> {
        let of = |node: &'_ Node| -> Option<ModelFile> {
            match node {
                Node::Operator(operator) => operator.model().cloned(),
                Node::Relation(_) => None,
            }
        };
        let files: Vec<ModelFile> = self.nodes.iter().filter_map(of).collect();
        Models::open(files.iter(), host)
    }

    /// Check with the host what is to be checked before the work.
    pub fn check(&self, host: &dyn Host) -> Result<()> {
        self.operator()?.check(host)
    }

    /// Do with the host what is to be done after the work.
    pub fn store(&self, table: &dyn Table, host: &dyn Host) -> Result<()> {
        self.operator()?.store(table.output(), host)
    }

    /// Compute the result from the rows of the relations, in the order of [`Plan::relations`].
    pub fn run(
        &self,
        rows: Vec<Collected>,
        limits: Limits,
        models: Models,
        monitor: &Monitor,
    ) -> failure::Result<Box<dyn Table>> {
        let mut collected: Vec<Option<Collected>> = self.nodes.iter().map(|_| None).collect();
        let relations: Vec<usize> = self.relations().into_iter().map(|relation| relation.0).collect();
        relations.into_iter().zip(rows).for_each(|(node, rows)| collected[node] = Some(rows));
        Run::new(&self.nodes, self.root(), collected, limits, models, monitor).result()
    }
}

/// A call of a function while its operators are added to a plan.
pub struct Call<'a> {
    function: &'static Function,
    arguments: &'a [Argument],
    plan: &'a mut Plan,
}

impl Call<'_> {
    /// Name of the function that is called.
    pub fn name(&self) -> &'static str {
        self.function.name
    }

    /// An error about this call.
    pub fn error(&self, message: impl std::fmt::Display) -> Refusal {
        input(format!("{}: {message}", self.function.name))
    }

    fn argument<T>(&self, parameter: &Parameter<T>) -> Result<&Argument> {
        let at = self.function.parameters.iter().position(|other| other.name() == parameter.name);
        let argument = at.and_then(|at| self.arguments.get(at));
        argument.ok_or_else(|| defect(format!("{} has no {}", self.function.name, parameter.name)))
    }

    /// Whether a parameter is not NULL.
    pub fn is_given(&self, parameter: &dyn Described) -> bool {
        let at = self.function.parameters.iter().position(|other| other.name() == parameter.name());
        at.is_some_and(|at| self.arguments[at].value != Value::Null)
    }

    /// The argument of a parameter.
    pub fn get<T: Takes>(&self, parameter: &Parameter<T>) -> Result<T::Given> {
        let argument = self.argument(parameter)?;
        let given = match argument.value {
            Value::Null => parameter.takes.null(),
            _ => parameter.takes.read(argument),
        };
        given.map_err(|wrong| self.error(format!("{} {wrong}", parameter.name)))
    }

    /// The name of a column.
    pub fn column(&self, parameter: &Parameter<ColumnName>) -> Result<String> {
        self.named(parameter.name, self.get(parameter)?)
    }

    /// A column's name that is one.
    pub fn named(&self, parameter: &str, column: String) -> Result<String> {
        if column.is_empty() {
            return Err(binder(format!("{}: {parameter} := '' names no column", self.function.name)));
        }
        Ok(column)
    }

    /// The relation that a parameter names.
    pub fn relation<T>(&mut self, parameter: &Parameter<RelationName>, reads: Reads) -> Result<Input<T>> {
        let name = self.get(parameter)?;
        Ok(self.read(parameter.name, name, reads))
    }

    /// A relation by its name.
    pub fn read<T>(&mut self, argument: &'static str, name: String, reads: Reads) -> Input<T> {
        let relation = Relation { function: self.function.name, argument, name, reads };
        self.input(Node::Relation(relation))
    }

    /// The result of a nested call, or a relation that has what it gives.
    pub fn stage_or_relation<T>(&mut self, parameter: &Parameter<StageOrRelation>, reads: Reads) -> Result<Input<T>> {
        match self.get(parameter)? {
            StageOrName::Relation(name) => Ok(self.read(parameter.name, name, reads)),
            StageOrName::Stage(call) => self.stage(parameter, call),
        }
    }

    /// The result of a nested call, if it is one of the function that the parameter takes.
    pub fn stage<T>(&self, parameter: &Parameter<StageOrRelation>, call: usize) -> Result<Input<T>> {
        let (function, node) = *self.plan.calls.get(call).ok_or_else(not_written)?;
        let takes = parameter.takes;
        if function != takes.function {
            let (name, what) = (parameter.name, takes.what());
            return Err(self.error(format!("{name} takes {what}, not {function}(...)")));
        }
        Ok(Input::new(node, self.function.name))
    }

    /// Add an operator; gives what others read of it.
    pub fn add<O: Operator>(&mut self, operator: O) -> Input<O::Output> {
        self.input(Node::Operator(Arc::new(operator)))
    }

    fn input<T>(&mut self, node: Node) -> Input<T> {
        Input::new(self.plan.add(node), self.function.name)
    }

    /// An operator of the plan, if it is of this type.
    pub fn operator<O: Operator>(&self, input: Input<O::Output>) -> Option<&O> {
        match &self.plan.nodes[input.node] {
            Node::Operator(operator) => (&**operator as &dyn Any).downcast_ref(),
            Node::Relation(_) => None,
        }
    }

    /// The relations of points that lead to a node, by their nodes.
    pub fn sources(&self, node: usize) -> Vec<usize> {
        let mut found = Vec::new();
        self.plan.find_relations(node, &mut found);
        found.retain(|(_, relation)| relation.reads.has_all_points);
        found.into_iter().map(|(node, _)| node).collect()
    }
}
