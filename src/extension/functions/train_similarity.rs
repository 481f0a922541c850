//! `train_similarity(source, model, ...)`: a learned similarity from labelled rows.

use super::super::plan::{Arguments, Input, Plan, TrainSimilarity};
use super::knn_graph::{EMBEDDING, ID, SOURCE};
use super::{Default, Parameter, Stage};
use crate::model::train::Encoder;

pub static STAGE: Stage = Stage {
    name: "train_similarity",
    description: "Train a model of the probability that a point and each of its neighbors share a label, seen with the whole neighborhood, and write it as an ONNX file.",
    returns: "Returns one row an epoch, 0 the state before the first: epoch, loss (mean binary cross-entropy of the training pairs), held_out_auc and held_out_average_precision on pairs of labels held out, cosine_auc and cosine_average_precision of the plain cosine on the same, is_kept (the epoch whose model is written) and warning.",
    parameters: &[
        SOURCE,
        Parameter { name: "model", default: Default::Required, description: "path of the ONNX file to write" },
        Parameter {
            name: "label",
            default: Default::Text("label"),
            description: "column of the labels, of any type; rows with NULL are left out",
        },
        Parameter {
            name: "k",
            default: Default::Integer(20),
            description: "neighbors of a point, at least 1; as many as the model is to be used with",
        },
        Parameter {
            name: "encoder",
            default: Default::Text("none"),
            description: "what is made of the vectors: 'transformer' (the paper's layer), 'aggregate' (the mean of the neighbors beside the anchor), 'gcn' (one graph convolution) or 'none', which leaves the context alone",
        },
        Parameter {
            name: "context",
            default: Default::Flag(true),
            description: "whether the model also sees how dense the neighborhoods of two points are and how far they agree, under a metric fitted to the labels; 'none' without it is the calibrated cosine",
        },
        Parameter {
            name: "epochs",
            default: Default::Integer(20),
            description: "passes over the rows, at most; at least 1",
        },
        Parameter {
            name: "patience",
            default: Default::Integer(5),
            description: "passes without a better held-out average precision after which training ends, at least 1",
        },
        Parameter {
            name: "learning_rate",
            default: Default::Number(0.001),
            description: "rate of Adam's first step, above 0; it falls to 0 over the epochs",
        },
        Parameter {
            name: "dropout",
            default: Default::Number(0.2),
            description: "share of a layer's values dropped out while training, from 0 to below 1",
        },
        Parameter {
            name: "held_out",
            default: Default::Number(0.2),
            description: "share of the labels held out to choose the epoch by, above 0 and below 1",
        },
        Parameter {
            name: "seed",
            default: Default::Integer(0),
            description: "of all that is random; the same rows and seed give the same file",
        },
        Parameter {
            name: "overwrite",
            default: Default::Flag(false),
            description: "whether to replace a file that exists",
        },
        ID,
        EMBEDDING,
    ],
    examples: &[
        "FROM train_similarity('faces_train', 'sim.onnx', label := 'identity')",
        "FROM train_similarity('faces_train', 'sim.onnx', label := 'identity', k := 40, encoder := 'transformer', context := false, overwrite := true)",
    ],
    nested_example: None,
    plan: |arguments| {
        let within = |name: &str, range: &str, valid: fn(f64) -> bool| number(arguments, name, range, valid);
        Ok(Plan::TrainSimilarity(TrainSimilarity {
            source: Input::Relation(arguments.relation("source")?),
            id: arguments.column("id")?,
            embedding: arguments.column("embedding")?,
            label: arguments.column("label")?,
            model: arguments.path("model")?,
            overwrite: arguments.flag("overwrite")?,
            k: arguments.count("k", 1)?,
            encoder: arguments.choice("encoder", &Encoder::ALL.map(|encoder| (encoder.name(), encoder)))?,
            context: arguments.flag("context")?,
            epochs: arguments.count("epochs", 1)?,
            patience: arguments.count("patience", 1)?,
            learning_rate: within("learning_rate", "a finite number above 0", |x| x > 0.0 && x.is_finite())?,
            dropout: within("dropout", "from 0 to below 1", |x| (0.0..1.0).contains(&x))?,
            held_out: within("held_out", "above 0 and below 1", |x| x > 0.0 && x < 1.0)?,
            seed: arguments.count("seed", 0)? as u64,
        }))
    },
};

fn number(arguments: &Arguments<'_>, name: &str, range: &str, valid: fn(f64) -> bool) -> duckdb_neo::Result<f64> {
    let value = arguments.number(name)?;
    if valid(value) { Ok(value) } else { Err(arguments.error(format!("{name} must be {range}, got {value}"))) }
}
