//! The engine without a database: plans of nested calls, run on rows that a test collects.

use super::argument::{Argument, Value};
use super::ids::{IdColumn, Key};
use super::limits::Limits;
use super::operators::FUNCTIONS;
use super::parameter::DefaultValue;
use super::plan::{Function, Given, Plan, Program};
use super::relation::{Collected, CollectedColumn, CollectedKeys};
use super::table::{Cells, Table, Type, Values};
use crate::core::embeddings::{EmbeddingRows, Precision};
use crate::core::monitor::Monitor;
use crate::core::pipeline::{ClusterOptions, cluster};
use crate::core::similarity::Kernel;
use crate::fuzzing::fuzz;
use crate::{Embeddings, knn};

fn function(name: &str) -> &'static Function {
    FUNCTIONS.iter().find(|function| function.name == name).unwrap()
}

/// A call with these arguments, the others by default.
fn call(name: &str, given: Vec<(&str, Given)>) -> Result<(Program, Plan), String> {
    let mut given = given;
    let function = function(name);
    let argument = |value: Value| Given::Value(Argument::of(&value));
    let arguments = function.parameters.iter().map(|parameter| {
        let at = given.iter().position(|given| given.0 == parameter.name());
        at.map(|at| given.swap_remove(at).1).unwrap_or_else(|| {
            argument(match parameter.default() {
                DefaultValue::Required | DefaultValue::Null => Value::Null,
                DefaultValue::Integer(value) => Value::Number(value.into()),
                DefaultValue::Number(value) => Value::Number(value),
                DefaultValue::Text(value) => Value::Text(value.into()),
                DefaultValue::Flag(value) => Value::Flag(value),
                DefaultValue::Numbers(values) => Value::Numbers(values.to_vec()),
            })
        })
    });
    let arguments = arguments.collect();
    Program::new(&FUNCTIONS, function, arguments).map_err(|refusal| format!("{refusal:?}"))
}

fn text(text: &str) -> Given {
    Given::Value(Argument::of(&Value::Text(text.into())))
}

fn number(number: f64) -> Given {
    Given::Value(Argument::of(&Value::Number(number)))
}

fn transition() -> Program {
    let graph = call(
        "knn_graph",
        vec![("source", text("faces")), ("k", number(5.0)), ("sigma", number(0.1)), ("tau", number(0.7))],
    )
    .unwrap()
    .0;
    call("transition_matrix", vec![("graph", Given::Program(graph))]).unwrap().0
}

/// All five stages, nested.
fn nested() -> (Program, Plan) {
    let density = call("ndde", vec![("transition", Given::Program(transition()))]).unwrap().0;
    let distance = call("tpdi", vec![("transition", Given::Program(transition()))]).unwrap().0;
    call("dpc_cluster", vec![("density", Given::Program(density)), ("distance", Given::Program(distance))]).unwrap()
}

fn points() -> Vec<[f32; 3]> {
    (0..60).map(|i| [(i % 7) as f32 + 1.0, (i % 4) as f32, 0.1 * (i % 11) as f32]).collect()
}

/// Points with the ids 59, 58, ..., 0.
fn collected() -> Collected {
    let mut ids = IdColumn::numbers();
    let mut rows = EmbeddingRows::new(Precision::F32);
    for (id, point) in points().iter().enumerate().rev() {
        ids.push(Key::Number(id as u64), None);
        rows.push(point).unwrap();
    }
    Collected { keys: CollectedKeys::Ids(ids), columns: vec![CollectedColumn::Embeddings(rows)] }
}

fn run(plan: &Plan) -> Box<dyn Table> {
    let limits = Limits { threads: 2, memory: 1 << 30, account: Default::default() };
    let rows = plan.relations().iter().map(|_| collected()).collect();
    plan.run(rows, limits, Default::default(), &Monitor::new())
        .map_err(|failure| failure.message(|id| id.to_string()))
        .unwrap()
}

fn clusters(table: &dyn Table) -> Vec<i64> {
    match table.chunk(1, 0..table.count()) {
        Cells::BigInt(Values::All(values)) => values.to_vec(),
        _ => panic!("cluster_id is a number without NULL"),
    }
}

#[test]
fn what_two_calls_share_is_one_node() {
    let (_, plan) = nested();
    // The relation, its points, the graph, P, the density, the distance, the clustering.
    assert_eq!(plan.nodes(), 7);
    assert_eq!(plan.relations().len(), 1);
}

#[test]
fn the_call_for_the_whole_run_makes_the_nodes_of_the_nested_form() {
    let (_, whole) = call(
        "cluster_embeddings",
        vec![("source", text("faces")), ("k", number(5.0)), ("sigma", number(0.1)), ("tau", number(0.7))],
    )
    .unwrap();
    assert_eq!(whole.nodes(), nested().1.nodes());
    assert_eq!(clusters(&*run(&whole)), clusters(&*run(&nested().1)));
}

#[test]
fn a_plan_gives_what_the_core_gives() {
    let knn = knn::KnnOptions { k: 5, ..Default::default() };
    let options = ClusterOptions { knn, kernel: Some(Kernel::default()), tau: Some(0.7), ..Default::default() };
    let embeddings = Embeddings::new(points().concat(), 3).unwrap();
    let expected = cluster(embeddings, &options, &Monitor::new()).unwrap();
    let expected: Vec<i64> = expected.cluster.iter().map(|&cluster| cluster.into()).collect();
    assert_eq!(clusters(&*run(&nested().1)), expected);
}

#[test]
fn a_program_that_was_written_down_is_the_same_plan() {
    let (program, plan) = nested();
    let again = Program::from_json(&program.to_json()).unwrap();
    assert_eq!(again, program);
    assert_eq!(again.plan(&FUNCTIONS).unwrap().nodes(), plan.nodes());
}

#[test]
fn forged_programs_are_refused() {
    for json in [
        "{}",
        r#"{"calls":[{"function":"nothing","arguments":[]}]}"#,
        r#"{"calls":[{"function":"ndde","arguments":["p"]}]}"#,
        r#"{"calls":[{"function":"ndde","arguments":[{"call":7},0.05,100]}]}"#,
        r#"{"calls":[{"function":"ndde","arguments":["p",-1.0,100]}]}"#,
    ] {
        assert!(Program::from_json(json).and_then(|program| program.plan(&FUNCTIONS)).is_err(), "{json}");
    }
    let empty = Program::from_json(r#"{"calls":[]}"#).and_then(|program| program.plan(&FUNCTIONS)).unwrap();
    assert!(empty.columns().is_err());
}

#[test]
fn a_stage_where_another_goes_is_named() {
    let graph = call("knn_graph", vec![("source", text("faces"))]).unwrap().0;
    let error = call("ndde", vec![("transition", Given::Program(graph))]).err().unwrap();
    assert!(error.contains("ndde: transition takes transition_matrix(...) or the name of a relation"), "{error}");
    assert!(error.contains("not knn_graph(...)"), "{error}");
}

#[test]
fn every_parameter_of_a_function_is_read_by_its_name() {
    for function in FUNCTIONS {
        let mut names: Vec<&str> = function.parameters.iter().map(|parameter| parameter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), function.parameters.len(), "{}", function.name);
    }
    let (_, plan) = nested();
    let columns = plan.columns().unwrap();
    assert!(matches!(columns[0], (ref name, Type::Id(_)) if name == "id"));
}

/// Programs of all functions, written down.
fn written() -> Vec<Vec<u8>> {
    let plain = FUNCTIONS.iter().filter_map(|function| {
        let required =
            function.parameters.iter().filter(|parameter| matches!(parameter.default(), DefaultValue::Required));
        let given = required.map(|parameter| (parameter.name(), text("faces"))).collect();
        call(function.name, given).ok()
    });
    plain.chain([nested()]).map(|(program, _)| program.to_json().into_bytes()).collect()
}

#[test]
fn fuzz_plans() {
    let corpus = written();
    assert!(corpus.len() > 10);
    // Words of programs, to be put in each other's places.
    let words: Vec<Vec<u8>> = (FUNCTIONS.iter().map(|function| function.name))
        .chain([
            "null",
            "true",
            "1e308",
            "-1",
            "0",
            "18446744073709551616",
            "[]",
            "{}",
            "\"Stage\"",
            "\"Text\"",
            "auto",
            "NaN",
        ])
        .map(|word| word.as_bytes().to_vec())
        .collect();
    fuzz("plans", |random| {
        let mut json = random.damaged(&corpus);
        if random.one_in(2) {
            let mut text = String::from_utf8_lossy(random.pick(&corpus[..]).as_slice()).into_owned();
            for _ in 0..=random.below(3) {
                let parts: Vec<&str> = text.split_inclusive([',', ':', '{', '}', '[', ']', '"']).collect();
                let at = random.below(parts.len());
                let word = String::from_utf8_lossy(random.pick(&words[..]).as_slice());
                let end = parts[at].chars().last().unwrap_or_default();
                text = [&parts[..at].concat(), &*word, &end.to_string(), &parts[at + 1..].concat()].concat();
            }
            json = text.into_bytes();
        }
        let Ok(program) = Program::from_json(&String::from_utf8_lossy(&json)) else { return };
        // An error, or a plan whose parts can be asked for.
        if let Ok(plan) = program.plan(&FUNCTIONS) {
            let columns = plan.columns();
            assert!(columns.is_err() || !columns.unwrap().is_empty());
            assert!(plan.relations().iter().all(|(_, relation)| !relation.reads.key.column().is_empty()));
            assert_eq!(Program::from_json(&program.to_json()).unwrap(), program);
        }
    });
}

#[test]
fn fuzz_ids() {
    fuzz("ids", |random| {
        let numbers = random.one_in(2);
        let distinct = 1 + random.below(20);
        let keys: Vec<Vec<u8>> =
            (0..random.below(60)).map(|_| random.below(distinct).to_be_bytes()[4..].to_vec()).collect();
        let key = |bytes: &'static [u8]| match numbers {
            true => Key::Number(u32::from_be_bytes(bytes.try_into().unwrap()).into()),
            false => Key::Bytes(bytes),
        };
        let keys: Vec<&'static [u8]> = keys.into_iter().map(|key| &*key.leak()).collect();
        let none = || if numbers { IdColumn::numbers() } else { IdColumn::bytes() };
        let mut interner = super::ids::Interner::new(none());
        let (first, second) = keys.split_at(random.below(keys.len() + 1));
        let of_keys = |interner: &mut super::ids::Interner, keys: &[&'static [u8]]| -> Vec<u32> {
            keys.iter().map(|bytes| interner.intern::<()>(key(bytes), || Ok(None)).unwrap()).collect()
        };
        let mut numbered = of_keys(&mut interner, first);
        let mut other = super::ids::Interner::new(none());
        let of_second = of_keys(&mut other, second);
        let places = interner.absorb(&other);
        numbered.extend(of_second.iter().map(|&number| places[number as usize]));
        let (ids, places) = interner.sorted();
        let expected: std::collections::BTreeSet<&[u8]> = keys.iter().copied().collect();
        assert_eq!(ids.len(), expected.len());
        assert_eq!(ids.duplicate(), None);
        for (bytes, number) in keys.iter().zip(numbered) {
            let place = places[number as usize];
            assert_eq!(ids.key(place), key(bytes));
            assert_eq!(expected.iter().position(|other| other == bytes), Some(place as usize));
        }
        let mut column = none();
        keys.iter().for_each(|bytes| column.push(key(bytes), None));
        assert!(ids.numbers_of(&column).iter().all(Option::is_some));
        let (sorted, order) = column.sorted();
        assert!((1..order.len()).all(|at| sorted.key(at as u32 - 1) <= sorted.key(at as u32)));
        assert_eq!(sorted.duplicate().is_some(), expected.len() < keys.len());
    });
}
