"""Clusters from edges that a classifier scored, as docs/edge_scores.md has them: edge_scores.py [--write]

Everything is chosen on the train half of the identities: the classifier, how its probabilities become weights, and tau,
these on scores that each half of those identities got from the other. Then it is judged on the test half. Reads of
../shared/data what is there.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from results import SHARED, table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import ROOT, connect  # noqa: E402

PAGE = ROOT / "docs" / "edge_scores.md"
RECIPE = (ROOT / "sql" / "recipes" / "pair_features.sql").read_text()
# Name -> file, k.
SETS = {
    "LFW": ("lfw_mobilefacenet.parquet", 80),
    "LFW at 24 x 24 pixels": ("lfw_lowres24_mobilefacenet.parquet", 80),
    "MusicBrainz 20K": ("musicbrainz20k_minilm.parquet", 10),
}
SEEDS = range(3)
SIGMAS = [0.06, 0.08, 0.1, 0.12]
# Exponents of the probability and scales of the distance: similarity = probability ** exponent * exp(-distance / scale).
WEIGHTS = [(exponent, scale) for exponent in (1, 2, 4) for scale in (0.1, 0.2)]
TAUS = "[0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90]"
HEADER = ["", "edges: AUC", "average precision", "pairwise F", "BCubed F", "chosen"]


class Half:
    """The points of one half, their graph, and what is known of its edges."""

    def __init__(self, con, file: str, k: int, split: str):
        self.con, self.faces = con, f"faces_{split}"
        con.execute(f"CREATE TABLE {self.faces} AS FROM '{SHARED / file}' WHERE split = '{split}'")
        con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('{self.faces}', k := {k})")
        con.execute(RECIPE)
        con.execute(f"CREATE TABLE g_{split} AS FROM g")
        self.graph = f"g_{split}"
        rows = con.sql(f"""
            SELECT f.*, a.label, a.label = b.label AS same
            FROM pair_features f JOIN {self.faces} a ON a.id = f.src JOIN {self.faces} b ON b.id = f.dst
            ORDER BY f.src, f.rank""").to_arrow_table()
        self.ends, self.label = rows.select(["src", "dst"]), rows["label"].to_numpy()
        self.same = rows["same"].to_numpy()
        features = rows.drop_columns(["src", "dst", "label", "same"])
        self.distance = features["distance"].to_numpy()
        self.features = np.column_stack([column.to_numpy().astype(float) for column in features])

    def sweep(self) -> dict:
        """Pairwise and BCubed F of the table p for each tau."""
        return {tau: scores for tau, *scores in self.con.execute(f"""
            SELECT tau, pairwise_f, bcubed_f
            FROM tau_sweep(ndde('p'), tpdi('p'), taus := {TAUS}, labels := '{self.faces}')""").fetchall()}

    def by_score(self, score: np.ndarray, weights: list) -> dict:
        edges = self.ends.append_column("score", pa.array(score)).append_column("distance", pa.array(self.distance))
        self.con.register("scored", edges)
        result = {}
        for exponent, scale in weights:
            self.con.execute(f"""
                CREATE OR REPLACE TABLE edges AS
                SELECT src, dst, score ** {exponent} * exp(-distance / {scale}) AS similarity FROM scored;
                CREATE OR REPLACE TABLE p AS FROM transition_matrix('edges')""")
            result |= {(exponent, scale, tau): scores for tau, scores in self.sweep().items()}
        self.con.unregister("scored")
        return result

    def by_distance(self, sigmas: list) -> dict:
        result = {}
        for sigma in sigmas:
            self.con.execute(f"CREATE OR REPLACE TABLE p AS FROM transition_matrix('{self.graph}', sigma := {sigma})")
            result |= {(sigma, tau): scores for tau, scores in self.sweep().items()}
        return result

    def of_edges(self, score: np.ndarray) -> list[float]:
        return [roc_auc_score(self.same, score), average_precision_score(self.same, score)]


def classifier(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=100, l2_regularization=1, random_state=seed
    )


def best(scores: dict) -> tuple:
    """The setting with the greatest sum of pairwise and BCubed F."""
    return max(scores, key=lambda setting: sum(scores[setting]))


def section(name: str) -> str:
    file, k = SETS[name]
    con = connect()
    train, test = Half(con, file, k, "train"), Half(con, file, k, "test")
    sigma, tau = best(train.by_distance(SIGMAS))
    cosine = test.by_distance([sigma])[sigma, tau]
    rows = [("cosine", *test.of_edges(-test.distance), *cosine, f"sigma {sigma}, tau {tau:.2f}")]
    for seed in SEEDS:
        identities = np.unique(train.label)
        first = np.isin(train.label, np.random.default_rng(seed).permutation(identities)[: len(identities) // 2])
        crossed = np.empty(len(first))
        for half in (first, ~first):
            model = classifier(seed).fit(train.features[half], train.same[half])
            crossed[~half] = model.predict_proba(train.features[~half])[:, 1]
        exponent, scale, tau = best(train.by_score(crossed, WEIGHTS))
        model = classifier(seed).fit(train.features, train.same)
        score = model.predict_proba(test.features)[:, 1]
        scores = test.by_score(score, [(exponent, scale)])[exponent, scale, tau]
        chosen = f"exponent {exponent}, scale {scale}, tau {tau:.2f}"
        rows.append((f"classifier, seed {seed}", *test.of_edges(score), *scores, chosen))
    return f"`{file}`, `k := {k}`\n\n{table(HEADER, rows)}\n"


def main(write: bool) -> None:
    page = PAGE.read_text()
    for name, (file, _) in SETS.items():
        if not (SHARED / file).exists():
            print(f"{name}: no {file}, left as it is")
            continue
        text = section(name)
        print(f"## {name}\n\n{text}", flush=True)
        page, found = re.subn(rf"(?<=\n## {name}\n\n).*?(?=\n## |\Z)", lambda _, text=text: text, page, flags=re.DOTALL)
        assert found == 1, f"{PAGE.name} has no section {name}"
    if write:
        PAGE.write_text(page)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
