"""The paper's tables 1 to 3 on data that anyone can have, as docs/results.md has them: table1.py [--write] [METHOD ...]

Each method of experiments/paper is trained on half of the train half's identities of ../shared/data, and judged on the
test half. What is left to choose is chosen on the whole train half, where a second model, trained on the other
identities, judges what the first has seen. Each seed draws its own halves. Needs experiments/requirements-torch.txt.
What is done is kept in build/table1.json and not done again: remove the file to begin anew.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from statistics import mean
from time import process_time

import numpy as np
from results import RECIPE, ROOT, SHARED, put, table
from run_sql import connect

sys.path.insert(0, str(Path(__file__).resolve().parent / "paper"))
DONE = ROOT / "build" / "table1.json"
# Set -> file, k, and the file of the same rows by another model.
SETS = {
    "LFW at 24 pixels": ("lfw_lowres24_mobilefacenet", 20, "lfw_mobilefacenet"),
    "MusicBrainz": ("musicbrainz20k_minilm", 10, None),
    "LFW": ("lfw_mobilefacenet", 20, "lfw_lowres24_mobilefacenet"),
}
METHODS = ["cosine", "cdp", "star_fc", "pair_cls", "gcn_ve", "l_gcn", "ltc", "ada_nets", "clusformer", "train_similarity"]
SEEDS = 3
TAUS = [*(at / 20 for at in range(1, 20)), 0.97, 0.98, 0.99]
PLAIN = "score"
WEIGHTED = [f"score ** {exponent} * exp(-distance / {scale})" for exponent in (1, 4) for scale in (0.1, 0.2)]
KINDS = {"own": "own last step", "++": "++", "weighted": "++, weighted", "default": "default's last step"}


def transition(con, half, edges: np.ndarray, similarity: str) -> None:
    """The table p of edges with this similarity, and the table labelled."""
    src, dst = half.directed()
    distance = 1 - half.similarity.numpy().ravel().astype(float)
    scored = {"src": src, "dst": dst, "score": edges.ravel().astype(float), "distance": distance}  # noqa: F841
    points = {"id": np.arange(len(half.label)), "label": half.label}  # noqa: F841, both read by the statements
    con.execute(f"CREATE OR REPLACE TABLE edges AS SELECT src, dst, {similarity} AS similarity FROM scored")
    con.execute("CREATE OR REPLACE TABLE p AS FROM transition_matrix('edges')")
    con.execute("CREATE OR REPLACE TABLE labelled AS FROM points")


def chosen(con, half, edges: np.ndarray, similarities: list[str]) -> tuple[str, float]:
    """The similarity and tau of the greatest sum of pairwise and BCubed F."""
    tried = []
    for similarity in similarities:
        transition(con, half, edges, similarity)
        sweep = f"tau_sweep(ndde('p'), tpdi('p'), taus := {TAUS}, labels := 'labelled')"
        rows = con.execute(f"SELECT coalesce(pairwise_f, 0) + bcubed_f, tau FROM {sweep}").fetchall()
        tried += [(score, similarity, tau) for score, tau in rows]
    _, similarity, tau = max(tried, key=lambda one: one[0])
    return similarity, tau


def clustered(con, query: str) -> np.ndarray:
    return con.execute(f"SELECT cluster_id FROM {query} ORDER BY id").fetchnumpy()["cluster_id"]


def judged(con, found: np.ndarray) -> dict:
    """Scores of clusters of the table faces, and those of its parts by size and sparsity."""
    given = {"id": np.arange(len(found)), "cluster_id": found.astype(np.int64)}  # noqa: F841, read by the statement
    con.execute("CREATE OR REPLACE TABLE clusters AS FROM given")
    con.execute(RECIPE)
    query = "SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f FROM faces JOIN clusters USING (id)"
    parts = con.execute("SELECT subset, pairwise_f, bcubed_f FROM hard_clusters").fetchall()
    return {"scores": con.execute(query).fetchone(), "parts": {name: rest for name, *rest in parts}}


def crossed(found: list[dict], first: np.ndarray) -> dict:
    """What each model found at the points that it has not seen."""
    return {
        at: np.where(first.reshape(-1, *[1] * (found[0][at].ndim - 1)), found[1][at], found[0][at]) for at in found[0]
    }


def run(con, name: str, method, seed: int) -> dict:
    from common import best, half, scores

    file, k, other = SETS[name]

    def rows(file: str, where: str) -> str:
        return f"SELECT id, label, embedding FROM '{SHARED / file}.parquet' WHERE {where}"

    first = f"md5_number_lower(concat(label, ' ', {seed})) % 2 = 0"
    train = rows(file, "split = 'train'")
    is_first = con.execute(f"SELECT {first} AS first FROM ({train}) ORDER BY id").fetchnumpy()["first"]
    train, *halves, test = (
        half(con, rows(file, where), k, other and rows(other, "true"))
        for where in ("split = 'train'", *(f"split = 'train' AND {at} {first}" for at in ("", "NOT")), "split = 'test'")
    )
    con.execute("CREATE OR REPLACE TABLE faces AS FROM numbered")
    begin = process_time()
    model = method.fit(halves[0], seed)
    trained = process_time() - begin
    begin = process_time()
    on_test = model(test)
    inferred = process_time() - begin
    unseen = crossed([model(train), method.fit(halves[1], seed)(train)], is_first)
    own = best((scores(train.label, method.clusters(train, unseen, at)), at) for at in method.SETTINGS)
    result = {"own": {**judged(con, method.clusters(test, on_test, own)), "chosen": own}}
    for kind, similarities in {"++": [PLAIN], "weighted": WEIGHTED}.items():
        similarity, tau = chosen(con, train, unseen["edges"], similarities)
        transition(con, test, on_test["edges"], similarity)
        found = clustered(con, f"dpc_cluster(ndde('p'), tpdi('p'), tau := {tau})")
        result[kind] = {**judged(con, found), "chosen": (similarity, tau)}
    transition(con, test, on_test["edges"], PLAIN)
    if method.NAME == "train_similarity":
        # As cluster_embeddings(model := ...) does: a distance at which a Gaussian has that similarity, and its kernel.
        con.execute("CREATE OR REPLACE TABLE far AS SELECT src, dst, sqrt(-ln(greatest(similarity, 1e-9))) AS distance FROM edges")
        con.execute("CREATE OR REPLACE TABLE p AS FROM transition_matrix('far', sigma := 'auto')")
    default = f"cluster_embeddings('faces', k := {k})" if method.NAME == "cosine" else "linkage_cluster('p')"
    result["default"] = judged(con, clustered(con, default))
    return {"name": method.NAME, "trained": trained, "inferred": inferred, "kinds": result}


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def of(done: dict, name: str, method: str) -> list[dict]:
    return [done[key] for seed in range(SEEDS) if (key := f"{name}: {method}, seed {seed}") in done]


def sections(done: dict) -> dict[str, str]:
    """Table 1 of each set, then tables 2 and 3: the parts, for the best of each kind by BCubed F; each by its mark."""
    texts = {}
    for name in SETS:
        runs = {method: found for method in METHODS if (found := of(done, name, method))}
        rows, at_best = [], {}
        for method, found in runs.items():
            for kind, title in KINDS.items():
                pairwise, bcubed = ([one["kinds"][kind]["scores"][at] for one in found] for at in (0, 1))
                seconds = [mean(one[part] for one in found) for part in ("trained", "inferred")]
                shown = [f"{value:.1f}" for value in seconds] if kind == "own" else [None, None]
                rows.append((f"{found[0]['name']}, {title}", spread(pairwise), spread(bcubed), *shown, len(found)))
                at_best.setdefault(kind, []).append((mean(bcubed), method))
        header = [name, "pairwise F", "BCubed F", "training, s", "inference, s", "seeds"]
        texts[f"{name}, table 1"] = table(header, rows)
        best = {kind: max(tried)[1] for kind, tried in at_best.items()}
        for number, part, sign in ((2, "size", "sz"), (3, "sparsity", "sp")):
            rows = []
            for kind, method in best.items():
                parts = [[one["kinds"][kind]["parts"][f"{sign}-{at}"][1] for one in runs[method]] for at in range(1, 6)]
                rows.append((f"{runs[method][0]['name']}, {KINDS[kind]}", *(mean(values) for values in parts)))
            header = [f"{name}: BCubed F by {part}", *(f"{sign}-{at}" for at in range(1, 6))]
            texts[f"{name}, table {number}"] = table(header, rows)
    return texts


def main(write: bool, methods: list[str]) -> None:
    missing = [file for file, _, _ in SETS.values() if not (SHARED / f"{file}.parquet").exists()]
    missing += [] if importlib.util.find_spec("torch") else ["torch"]
    if missing:
        print(f"no {', '.join(missing)}: the page is left as it is")
        return
    import torch

    torch.set_num_threads(1)
    done = json.loads(DONE.read_text()) if DONE.exists() else {}
    con = connect(threads=2)
    for seed in range(SEEDS):
        for name, (_, _, other) in SETS.items():
            for method in methods or METHODS:
                key = f"{name}: {method}, seed {seed}"
                if key in done or (method == "cdp" and other is None) or (method == "cosine" and seed):
                    continue
                done[key] = run(con, name, importlib.import_module(method), seed)
                DONE.write_text(json.dumps(done))
                figures = {kind: [round(at, 4) for at in found["scores"]] for kind, found in done[key]["kinds"].items()}
                print(key, round(done[key]["trained"], 1), figures, flush=True)
    for mark, text in sections(done).items():
        put(mark, text, write)


if __name__ == "__main__":
    main("--write" in sys.argv[1:], [name for name in sys.argv[1:] if name != "--write"])
