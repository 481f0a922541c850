"""How well trained similarities rank pairs: pair_ranking.py FILE [K] [SEEDS]

FILE is a Parquet file with id, label, split ('train' or 'test', disjoint by label) and embedding. Each kind of model
is trained on the train half, and the edges of the test half's exact k-NN graph are scored by ONNX Runtime: prints the
area under the ROC curve and the average precision, of the plain cosine and of each model, mean and range over the seeds.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np
import onnxruntime
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402

KINDS = [("none", True), ("transformer", True), ("transformer", False)]

# Anchors of a batch.
BATCH = 32


def probabilities(path: Path, points: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """What a model gives for each anchor's neighbors."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batches = []
    for first in range(0, len(points), BATCH):
        anchors = np.arange(first, min(first + BATCH, len(points)))
        tokens = np.concatenate([anchors[:, None], neighbors[anchors]], axis=1)
        rows, places = np.unique(tokens, return_inverse=True)
        given = {"points": points[rows], "neighbors": places.reshape(tokens.shape).astype(np.int64)}
        batches.append(session.run(["prob"], given)[0])
    return np.concatenate(batches)


def main(file: str, k: str = "20", seeds: str = "3") -> None:
    con = connect(threads="2")
    con.execute(f"""
        CREATE TABLE train AS SELECT id, label, embedding FROM '{file}' WHERE split = 'train';
        CREATE TABLE test AS SELECT row_number() OVER (ORDER BY id) - 1 AS id, label, embedding
        FROM '{file}' WHERE split = 'test' ORDER BY ALL""")
    rows = con.sql("SELECT label, embedding FROM test ORDER BY id").fetchnumpy()
    points = np.array(rows["embedding"].tolist(), dtype=np.float32)
    graph = con.sql(f"SELECT dst, distance FROM knn_graph('test', k := {k}, method := 'exact') ORDER BY src, rank")
    edges = graph.fetchnumpy()
    neighbors = edges["dst"].reshape(len(points), -1)
    same = (rows["label"][neighbors] == rows["label"][:, None]).ravel()

    def score(scores: np.ndarray) -> tuple[float, float]:
        return roc_auc_score(same, scores.ravel()), average_precision_score(same, scores.ravel())

    print(f"{Path(file).stem}, k {k}, {seeds} seeds, {len(same)} pairs, {same.mean():.3f} of them with one label")
    print("cosine: AUC {:.4f}, average precision {:.4f}".format(*score(-edges["distance"])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "similarity.onnx"
        for encoder, context in KINDS:
            begin = time.monotonic()
            scores = []
            for seed in range(int(seeds)):
                con.execute(f"""FROM train_similarity('train', '{path}', k := {k}, encoder := '{encoder}',
                    context := {context}, seed := {seed}, overwrite := true)""")
                scores.append(score(probabilities(path, points, neighbors)))
            taken = (time.monotonic() - begin) / len(scores)
            parts = [f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})" for values in zip(*scores)]
            name = f"{encoder}, {'context' if context else 'no context'}"
            print(f"{name}: AUC {parts[0]}, average precision {parts[1]}; {taken:.0f} s each", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
