"""Density, distance and similarity one by one, as docs/results.md has them: ablation.py [--write]

The layout of table 5 of Chen et al. (ECCV 2022): each density with each distance, by the cosine and by models that
train_similarity trains. All is trained and chosen on the train half of ../shared/data's faces, whose identities are
others, and judged on the test half. What is done is kept in build/ablation.json and not done again: remove the file
to begin anew.
"""

import json
import re
import sys
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import monotonic

import duckdb
from results import PAGE, SHARED, table
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from run_sql import connect  # noqa: E402

DONE = ROOT / "build" / "ablation.json"
SETS = {
    "LFW": SHARED / "lfw_mobilefacenet.parquet",
    "LFW at 24 pixels": SHARED / "lfw_lowres24_mobilefacenet.parquet",
}
K = 20
# Similarity -> encoder, context, epochs, seeds.
MODELS = {
    "`'none'`": ("none", True, 8, 3),
    "`'transformer'`, no context": ("transformer", False, 1, 3),
}
# Similarities of an edge, by its distance and the model's score.
COSINE = {
    "linear": "greatest(0, 1 - distance)",
    **{f"sigma {sigma}": f"exp(-distance / {sigma})" for sigma in (0.06, 0.08, 0.1, 0.15, 0.2)},
}
PROBABILITY = {"": "score"}
WEIGHTED = {
    f"exponent {exponent}, scale {scale}": f"score ** {exponent} * exp(-distance / {scale})"
    for exponent in (1, 2, 4, 8)
    for scale in (0.1, 0.2)
}
NEAR_0, NEAR_1 = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02], [0.97, 0.98, 0.99, 0.995, 0.999]
TAUS = [*NEAR_0, *(at / 20 for at in range(1, 20)), *NEAR_1]
# Connected components of the edges with a distance of at most tau.
THRESHOLD = "threshold"
# Method -> density, distance of dpc_cluster.
METHODS = {
    "density, 1 - similarity": ("neighbor_sums", "differences"),
    "+ NDDe": ("ndde('p')", "differences"),
    "+ TPDi": ("neighbor_sums", "tpdi('p')"),
    "+ both": ("ndde('p')", "tpdi('p')"),
}


def load(file: str | Path, k: int = K) -> duckdb.DuckDBPyConnection:
    """The two halves, and the k-NN graph of each."""
    con = connect()
    for split in ("train", "test"):
        con.execute(f"""
            CREATE TABLE {split} AS SELECT id, label, embedding FROM '{file}' WHERE split = '{split}';
            CREATE TABLE g_{split} AS FROM knn_graph('{split}', k := {k});
            CREATE TABLE cosine_{split} AS SELECT src, dst, distance, 1 - distance AS score FROM g_{split}""")
    return con


def trained(con: duckdb.DuckDBPyConnection, model: str, seed: int, source: str, path: str, k: int = K) -> None:
    encoder, context, epochs, _ = MODELS[model]
    con.execute(f"""
        FROM train_similarity('{source}', '{path}', k := {k}, encoder := '{encoder}', context := {context},
                              epochs := {epochs}, seed := {seed}, overwrite := true)""")


def scored(split: str, path: str, anchors: str = "true") -> str:
    """A query of the edges from `anchors` with the model's probability: p_ij / p_ii, since the model gives p_ii = 1."""
    return f"""
        WITH edges AS (FROM g_{split} WHERE {anchors}),
             p AS MATERIALIZED (FROM transition_matrix('edges', model := '{path}', source := '{split}'))
        SELECT src, dst, distance, least(1, coalesce(p.probability, 0) / self.probability) AS score
        FROM edges LEFT JOIN p USING (src, dst)
        JOIN (SELECT src, probability FROM p WHERE src = dst) self USING (src)"""


def cross_fitted(con: duckdb.DuckDBPyConnection, model: str, seed: int, path: str, k: int = K) -> None:
    """The table scored_train: each anchor's edges by the model that has not seen its half of the identities."""
    con.execute("CREATE OR REPLACE TABLE scored_train AS FROM cosine_train LIMIT 0")
    half = f"md5_number_lower(concat(label, ' ', {seed})) % 2"
    for seen, unseen in ((0, 1), (1, 0)):
        con.execute(f"CREATE OR REPLACE TABLE seen AS FROM train WHERE {half} = {seen}")
        trained(con, model, seed, "seen", path, k)
        anchors = f"src IN (SELECT id FROM train WHERE {half} = {unseen})"
        con.execute(f"INSERT INTO scored_train {scored('train', path, anchors)}")


def thresholds(con: duckdb.DuckDBPyConnection, edges: str, split: str) -> dict:
    """Pairwise and BCubed F of connected components, by threshold."""
    con.execute(f"CREATE OR REPLACE VIEW differences AS SELECT src, dst, greatest(0, 1 - score) AS distance FROM {edges}")
    return {("", tau): con.execute(f"""
        SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f
        FROM cluster_with('differences', method := 'connected_components', threshold := {tau})
        JOIN {split} USING (id)""").fetchone() for tau in TAUS}


def sweep(con: duckdb.DuckDBPyConnection, edges: str, split: str, similarities: dict) -> dict:
    """Method -> setting, tau -> pairwise and BCubed F."""
    found: dict = {method: {} for method in METHODS}
    for setting, similarity in similarities.items():
        con.execute(f"""
            CREATE OR REPLACE TABLE edges AS SELECT src, dst, {similarity} AS similarity FROM {edges};
            CREATE OR REPLACE TABLE p AS FROM transition_matrix('edges');
            CREATE OR REPLACE VIEW neighbor_sums AS
            SELECT src AS id, sum(similarity ORDER BY dst) AS density FROM edges GROUP BY src;
            CREATE OR REPLACE VIEW differences AS SELECT src, dst, 1 - similarity AS distance FROM edges""")
        for method, (density, distance) in METHODS.items():
            density, distance = (name if "(" in name else f"'{name}'" for name in (density, distance))
            rows = con.execute(f"""
                SELECT tau, coalesce(pairwise_f, 0), bcubed_f
                FROM tau_sweep({density}, {distance}, taus := {TAUS}, labels := '{split}')""").fetchall()
            found[method] |= {(setting, tau): scores for tau, *scores in rows}
    return found


def best(scores: dict) -> tuple:
    """The setting and tau of the greatest sum of pairwise and BCubed F."""
    return max(scores, key=lambda setting: sum(score or 0 for score in scores[setting]))


def judged(con: duckdb.DuckDBPyConnection, name: str, similarities: dict, with_threshold: bool) -> dict:
    """Method -> pairwise F, BCubed F of the test half, and the setting that the train half chose."""
    chosen = {method: best(scores) for method, scores in sweep(con, f"{name}_train", "train", similarities).items()}
    settings = {setting: similarities[setting] for setting in similarities if setting in {at for at, _ in chosen.values()}}
    test = sweep(con, f"{name}_test", "test", settings)
    if with_threshold:
        chosen = {THRESHOLD: best(thresholds(con, f"{name}_train", "train")), **chosen}
        test[THRESHOLD] = thresholds(con, f"{name}_test", "test")
    return {method: [*test[method][at], f"{at[0]}, tau {at[1]}".removeprefix(", ")] for method, at in chosen.items()}


def ranking(con: duckdb.DuckDBPyConnection, edges: str) -> list[float]:
    """Area under the ROC curve and average precision of the test half's edges."""
    rows = con.execute(f"""
        SELECT a.label = b.label AS same, score
        FROM {edges} JOIN test a ON a.id = src JOIN test b ON b.id = dst""").fetchnumpy()
    return [measure(rows["same"], rows["score"]) for measure in (roc_auc_score, average_precision_score)]


def of_cosine(con: duckdb.DuckDBPyConnection) -> dict:
    return {"cosine": {"ranking": ranking(con, "cosine_test"), **judged(con, "cosine", COSINE, True)}}


def of_model(con: duckdb.DuckDBPyConnection, model: str, seed: int, k: int = K) -> dict:
    with TemporaryDirectory() as folder:
        path = f"{folder}/similarity.onnx"
        cross_fitted(con, model, seed, path, k)
        trained(con, model, seed, "train", path, k)
        con.execute(f"CREATE OR REPLACE TABLE scored_test AS {scored('test', path)}")
    ranks = ranking(con, "scored_test")
    return {
        model: {"ranking": ranks, **judged(con, "scored", PROBABILITY, True)},
        f"{model}, weighted": {"ranking": ranks, **judged(con, "scored", WEIGHTED, False)},
    }


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def section(done: list[dict]) -> str:
    """The tables of one set, from what each run gave."""
    runs: dict = {}
    for run in done:
        for similarity, found in run.items():
            runs.setdefault(similarity, []).append(found)
    methods = [THRESHOLD, *METHODS]
    tables = []
    for at, score in enumerate(["pairwise F", "BCubed F"]):
        tables.append(table([score, *methods], [
            (name, *(spread([run[method][at] for run in of_name]) if method in of_name[0] else None for method in methods))
            for name, of_name in runs.items()
        ]))
    tables.append(table(["", "seeds", "edges: AUC", "average precision", "chosen for + both, seed by seed"], [
        (name, len(of_name), *(spread([run["ranking"][at] for run in of_name]) for at in (0, 1)),
         "; ".join(run["+ both"][2] for run in of_name))
        for name, of_name in runs.items()
    ]))
    return "\n\n".join(tables) + "\n"


def main(write: bool) -> None:
    if missing := [path.name for path in SETS.values() if not path.exists()]:
        print(f"no {', '.join(missing)}: the page is left as it is")
        return
    done = json.loads(DONE.read_text()) if DONE.exists() else {}
    sets = {name: load(path) for name, path in SETS.items()}
    runs = [(model, seed) for model, (_, _, _, seeds) in MODELS.items() for seed in range(seeds)]
    for model, seed in [("cosine", 0), *runs]:
        for name, con in sets.items():
            key, begin = f"{name}: {model}, seed {seed}", monotonic()
            if key not in done:
                done[key] = of_cosine(con) if model == "cosine" else of_model(con, model, seed)
                DONE.write_text(json.dumps(done))
                print(f"{key}: {monotonic() - begin:.0f} s", flush=True)
    page = PAGE.read_text()
    for name in SETS:
        text = section([run for key, run in done.items() if key.startswith(f"{name}: ")])
        print(f"### {name}\n\n{text}")
        begin, end = f"<!-- similarity {name} -->\n", "<!-- end -->"
        page, found = re.subn(f"{begin}.*?{end}", lambda _, text=f"{begin}\n{text}\n{end}": text, page, flags=re.DOTALL)
        assert found == 1, f"{PAGE.name} has no section {name}"
    if write:
        PAGE.write_text(page)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
