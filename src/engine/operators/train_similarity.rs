//! `train_similarity(source, model, ...)`: a learned similarity from labelled rows.

use super::knn_graph::{EMBEDDING, ID, SOURCE};
use crate::core::embeddings::Precision;
use crate::core::error::Error;
use crate::core::knn::{KnnOptions, Method, Metric, Points};
use crate::engine::host::{Host, NewFile};
use crate::engine::prelude::*;
use crate::engine::values::{Labels, PointRows};
use crate::model::train::{self, Encoder, TrainOptions, Training, train};

pub static FUNCTION: Function = Function {
    name: "train_similarity",
    description: "Train a model of the probability that a point and each of its neighbors share a label, seen with the whole neighborhood, and write it as an ONNX file.",
    returns: "Returns one row an epoch, 0 the state before the first: epoch, loss (mean binary cross-entropy of the training pairs), held_out_auc and held_out_average_precision on pairs of labels held out, cosine_auc and cosine_average_precision of the plain cosine on the same, is_kept (the epoch whose model is written) and warning.",
    parameters: &[
        &SOURCE,
        &MODEL,
        &LABEL,
        &K,
        &ENCODER,
        &CONTEXT,
        &EPOCHS,
        &PATIENCE,
        &LEARNING_RATE,
        &DROPOUT,
        &HELD_OUT,
        &SEED,
        &OVERWRITE,
        &ID,
        &EMBEDDING,
    ],
    examples: &[
        "FROM train_similarity('faces_train', 'sim.onnx', label := 'identity')",
        "FROM train_similarity('faces_train', 'sim.onnx', label := 'identity', k := 40, encoder := 'transformer', context := false, overwrite := true)",
    ],
    nested_example: None,
    build: |call| {
        call.get(&SOURCE)?;
        let (id, embedding, label) = (call.column(&ID)?, call.column(&EMBEDDING)?, call.column(&LABEL)?);
        let (model, overwrite) = (call.get(&MODEL)?, call.get(&OVERWRITE)?);
        let options = TrainOptions {
            k: call.get(&K)?,
            encoder: call.get(&ENCODER)?,
            context: call.get(&CONTEXT)?,
            epochs: call.get(&EPOCHS)?,
            patience: call.get(&PATIENCE)?,
            learning_rate: call.get(&LEARNING_RATE)?,
            dropout: call.get(&DROPOUT)?,
            held_out: call.get(&HELD_OUT)?,
            seed: call.get(&SEED)? as u64,
        };
        let source = call.relation(&SOURCE, Reads::points(&id, &embedding, Precision::F32, None))?;
        let labels = call.relation(&SOURCE, Labels::reads(&id, label))?;
        Ok(call.add(TrainSimilarity { source, labels, model, overwrite, options }).node)
    },
};

const MODEL: Parameter<Path> = Parameter {
    name: "model",
    default: DefaultValue::Required,
    takes: Path,
    description: "path of the ONNX file to write",
};
const LABEL: Parameter<ColumnName> = Parameter {
    name: "label",
    default: DefaultValue::Text("label"),
    takes: ColumnName,
    description: "column of the labels, of any type; rows with NULL are left out",
};
const K: Parameter<Count> = Parameter {
    name: "k",
    default: DefaultValue::Integer(train::K as i32),
    takes: Count(1),
    description: "neighbors of a point, at least 1; as many as the model is to be used with",
};
const ENCODER: Parameter<Choice<Encoder>> = Parameter {
    name: "encoder",
    default: DefaultValue::Text(train::ENCODER.name()),
    takes: Choice(|| Encoder::ALL.map(|encoder| (encoder.name(), encoder, encoder.meaning())).into()),
    description: "what is made of the vectors",
};
const CONTEXT: Parameter<Flag> = Parameter {
    name: "context",
    default: DefaultValue::Flag(train::CONTEXT),
    takes: Flag,
    description: "whether the model also sees how dense the neighborhoods of two points are and how far they agree, under a metric fitted to the labels; 'none' without it is the calibrated cosine",
};
const EPOCHS: Parameter<Count> = Parameter {
    name: "epochs",
    default: DefaultValue::Integer(train::EPOCHS as i32),
    takes: Count(1),
    description: "passes over the rows, at most; at least 1",
};
const PATIENCE: Parameter<Count> = Parameter {
    name: "patience",
    default: DefaultValue::Integer(train::PATIENCE as i32),
    takes: Count(1),
    description: "passes without a better held-out average precision after which training ends, at least 1",
};
const LEARNING_RATE: Parameter<Number> = Parameter {
    name: "learning_rate",
    default: DefaultValue::Number(train::LEARNING_RATE),
    takes: ABOVE_0,
    description: "rate of Adam's first step, above 0; it falls to 0 over the epochs",
};
const DROPOUT: Parameter<Number> = Parameter {
    name: "dropout",
    default: DefaultValue::Number(train::DROPOUT),
    takes: Number { is: "a number", range: "from 0 to below 1", valid: |share| (0.0..1.0).contains(&share) },
    description: "share of a layer's values dropped out while training, from 0 to below 1",
};
const HELD_OUT: Parameter<Number> = Parameter {
    name: "held_out",
    default: DefaultValue::Number(train::HELD_OUT),
    takes: Number { is: "a number", range: "above 0 and below 1", valid: |share| share > 0.0 && share < 1.0 },
    description: "share of the labels held out to choose the epoch by, above 0 and below 1",
};
const SEED: Parameter<Count> = Parameter {
    name: "seed",
    default: DefaultValue::Integer(train::SEED as i32),
    takes: Count(0),
    description: "of all that is random; the same rows and seed give the same file",
};
const OVERWRITE: Parameter<Flag> = Parameter {
    name: "overwrite",
    default: DefaultValue::Flag(false),
    takes: Flag,
    description: "whether to replace a file that exists",
};

#[derive(Debug, PartialEq)]
struct TrainSimilarity {
    source: Input<PointRows>,
    labels: Input<Labels>,
    /// Path of the file to write, and whether one that exists may go.
    model: String,
    overwrite: bool,
    options: TrainOptions,
}

/// A trained model as a file, and how it came about.
struct Trained {
    training: Training,
    warning: Option<&'static str>,
    file: Vec<u8>,
}

impl Rows for Trained {
    fn count(&self) -> usize {
        self.training.epochs.len()
    }
}

impl Operator for TrainSimilarity {
    type Output = Trained;

    fn inputs(&self) -> Vec<usize> {
        vec![self.source.node, self.labels.node]
    }

    fn columns(&self) -> Vec<Column<Trained>> {
        let held_out = |trained: &Trained, row: usize| trained.training.epochs[row].held_out;
        let is_kept = |trained: &Trained, row: usize| trained.training.epochs[row].epoch == trained.training.kept;
        vec![
            integer("epoch", |trained: &Trained, rows| each(rows, |row| trained.training.epochs[row].epoch as i32)),
            double("loss", |trained: &Trained, rows| each(rows, |row| trained.training.epochs[row].loss)),
            double("held_out_auc", move |trained: &Trained, rows| each(rows, |row| held_out(trained, row).auc)),
            double("held_out_average_precision", move |trained: &Trained, rows| {
                each(rows, |row| held_out(trained, row).average_precision)
            }),
            double("cosine_auc", |trained: &Trained, rows| each(rows, |_| trained.training.cosine.auc)),
            double("cosine_average_precision", |trained: &Trained, rows| {
                each(rows, |_| trained.training.cosine.average_precision)
            }),
            boolean("is_kept", move |trained: &Trained, rows| each(rows, |row| is_kept(trained, row))),
            text("warning", move |trained: &Trained, rows| -> Values<'_, &str> {
                some(rows, |row| trained.warning.filter(|_| is_kept(trained, row)))
            }),
        ]
    }

    fn check(&self, host: &dyn Host) -> Checked<()> {
        host.check_writable(&self.file())
    }

    fn store(&self, output: &Trained, host: &dyn Host) -> Checked<()> {
        host.write(&self.file(), &output.file)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Trained> {
        let label = run.label(self.source);
        let labels = run.read(self.labels)?;
        let PointRows { ids, embeddings } = run.take(self.source)?;
        let labels = labels.of(&ids)?;
        let failed = failed(&label, &ids);
        let (n, dim, k) = (embeddings.len(), embeddings.dim(), self.options.k);
        let what = || format!("training on {n} embeddings of {dim} dimensions with k := {k}");
        run.limits.check(
            &label,
            what,
            self.need(n, dim, run.limits.threads),
            "fewer rows or a smaller k would fit, or ",
        )?;
        let points = Points::new(embeddings, Metric::Cosine, run.monitor).map_err(&failed)?;
        let training = train(points, &labels, &self.options, run.monitor);
        let training = training.map_err(|error| match error {
            Error::Labels(problem) => Failure::of(&label, Error::Input(format!("with k := {k} {problem}"))),
            other => failed(other),
        })?;
        let warning = (training.kept == 0 && training.epochs.len() > 1).then_some(
            "no epoch ranked the held-out pairs better than plain cosine, so the model is the calibrated cosine; \
             more labelled rows may help",
        );
        let file = training.model.to_onnx().map_err(&failed)?;
        Ok(Trained { training, warning, file })
    }
}

impl TrainSimilarity {
    fn file(&self) -> NewFile<'_> {
        let (path, overwrite) = (&*self.model, self.overwrite);
        NewFile { function: FUNCTION.name, argument: MODEL.name, path, overwrite }
    }

    /// Bytes of the points twice, their graph, and what training keeps.
    fn need(&self, n: usize, dim: usize, threads: usize) -> u64 {
        let knn = KnnOptions { k: self.options.k, method: Method::Exact, ..Default::default() };
        let points = n as u64 * (8 * dim as u64 + 16);
        points + knn.memory(Default::default(), n, None, dim, threads) + self.options.memory(n, dim, threads)
    }
}
