"""Seeded sequences of what users do with a growing table, against plain SQL and Python: sequences.py [SECONDS] [SEED] [COUNT]

A sequence inserts, changes and deletes rows, clusters them, keeps earlier ids, adds pairs to keep together and apart, assigns
new rows, and re-opens the database. After each clustering its rows are those of the reference in sql/reference, and what
pairs, earlier ids and new rows demand holds. A sequence that fails is printed with its seed: sequences.py 0 SEED 1. One that
does not end in two minutes ends the run, with where it stands. A line each minute says how far the run is.
"""

import faulthandler
import itertools
import random
import sys
import tempfile
import time
from pathlib import Path

import duckdb

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from conftest import ROOT, connect  # noqa: E402

REFERENCE = [(ROOT / "sql" / "reference" / f"{name}.sql").read_text() for name in ("graph", "transition", "ndde", "tpdi", "dpc")]
PARAMETERS = (ROOT / "sql" / "reference" / "parameters.sql").read_text()
DIM = 4
NEAR, EQUAL = 1e-6, 1e-9


class Sequence:
    def __init__(self, seed: int, folder: str):
        self.rng = random.Random(seed)
        self.path = f"{folder}/{seed}.db"
        self.steps: list[str] = []
        self.k = self.rng.choice([1, 2, 3, 5, 9])
        self.sigma, self.tau = self.rng.choice([0.05, 0.1, 0.5]), self.rng.choice([0.0, 0.3, 0.6, 0.8, 1.0])
        self.numbers = f"k := {self.k}, sigma := {self.sigma}, tau := {self.tau}"
        self.centers = [[self.rng.gauss(0, 1) for _ in range(DIM)] for _ in range(self.rng.randint(1, 6))]
        self.next_id = 0
        self.con = self.open()
        self.con.execute(f"CREATE TABLE faces (id BIGINT, embedding FLOAT[{DIM}])")
        self.con.execute("CREATE TABLE together (src BIGINT, dst BIGINT); CREATE TABLE apart (src BIGINT, dst BIGINT)")
        self.con.execute("CREATE TABLE earlier (id BIGINT, cluster_id BIGINT)")

    def open(self) -> duckdb.DuckDBPyConnection:
        con = connect(self.path, threads=self.rng.choice([1, 2, 4]))
        con.execute("SET enable_progress_bar = false")
        return con

    def face(self) -> tuple:
        center = self.rng.choice(self.centers)
        spread = self.rng.choice([0.05, 0.3, 1.0])
        return [x + self.rng.gauss(0, spread) for x in center]

    def rows(self, sql: str) -> list[tuple]:
        return self.con.execute(sql).fetchall()

    def ids(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT id FROM faces ORDER BY id")]

    # Steps

    def insert(self):
        for _ in range(self.rng.randint(1, 8)):
            # Gaps, and numbers below 0, in no order.
            self.next_id += self.rng.randint(1, 5)
            number = self.next_id if self.rng.random() < 0.7 else -self.next_id
            self.con.execute("INSERT INTO faces VALUES (?, ?)", [number, self.face()])

    def copy(self):
        """Rows that are there already, under new ids."""
        self.next_id += 1
        self.con.execute(f"INSERT INTO faces SELECT {self.next_id}, embedding FROM faces ORDER BY hash(id) LIMIT 1")

    def change(self):
        for number in self.rng.sample(self.ids(), min(2, len(self.ids()))):
            self.con.execute("UPDATE faces SET embedding = ? WHERE id = ?", [self.face(), number])

    def delete(self):
        for number in self.rng.sample(self.ids(), min(self.rng.randint(1, 4), len(self.ids()))):
            self.con.execute("DELETE FROM faces WHERE id = ?", [number])

    def reopen(self):
        before = self.rows("FROM faces ORDER BY id"), self.rows("FROM earlier ORDER BY id")
        self.con.close()
        self.con = self.open()
        assert before == (self.rows("FROM faces ORDER BY id"), self.rows("FROM earlier ORDER BY id"))

    def link(self):
        ids = self.ids()
        if len(ids) < 2:
            return
        table = self.rng.choice(["together", "apart"])
        for _ in range(self.rng.randint(1, 3)):
            self.con.execute(f"INSERT INTO {table} VALUES (?, ?)", self.rng.sample(ids, 2))

    def unlink(self):
        self.con.execute(f"DELETE FROM {self.rng.choice(['together', 'apart'])}")

    def cluster(self):
        """As plain SQL has it; in one call, as stored stages, and in rows of another order."""
        self.con.execute(PARAMETERS)
        self.con.execute(f"UPDATE parameters SET k = {self.k}, sigma = {self.sigma}, tau = {self.tau}, kernel = 'exp', metric = 'cosine'")
        for stage in REFERENCE:
            self.con.execute(stage)
        columns = "id, cluster_id, parent_id, is_peak, density, delta"
        # One point alone has no edge, by which plain SQL knows of it.
        expected = self.rows(f"SELECT {columns} FROM clusters ORDER BY id") or [(number, 0, number, True, 1.0, None) for number in self.ids()]
        self.con.execute("CREATE OR REPLACE TEMP VIEW shuffled AS FROM faces ORDER BY hash(id)")
        p = f"transition_matrix(knn_graph('faces', k := {self.k}), sigma := {self.sigma})"
        # Plain SQL has all equal rows in lists, cluster_embeddings three of them.
        many = self.rows("SELECT 1 FROM faces GROUP BY embedding HAVING count(*) > 3")
        numbers = f"{self.numbers}, copies := NULL" if many else self.numbers
        calls = [f"cluster_embeddings('faces', {numbers})", f"cluster_embeddings('shuffled', {numbers})"]
        calls.append(f"dpc_cluster(ndde({p}), tpdi({p}), tau := {self.tau})")
        # Equal up to the last bits, which plain SQL sums in another order: either of two points may be the denser one.
        densities = sorted(row[4] for row in expected)
        tied = any(b - a < EQUAL for a, b in itertools.pairwise(densities))
        for call in calls:
            found = self.rows(f"SELECT {columns} FROM {call}")
            assert [row[0] for row in found] == [row[0] for row in expected]
            assert all(abs(one[4] - other[4]) < NEAR for one, other in zip(found, expected, strict=True)), call
            if not tied:
                assert [row[:4] for row in found] == [row[:4] for row in expected], call
                deltas = [(one[5], other[5]) for one, other in zip(found, expected, strict=True)]
                assert all(a == b or abs(a - b) < NEAR for a, b in deltas), call

    def partition(self, call: str) -> dict[int, int]:
        found = self.rows(f"SELECT id, cluster_id FROM {call}")
        assert [row[0] for row in found] == self.ids()
        return dict(found)

    def keep(self):
        """Earlier ids are kept: the same clusters, of which each has an id of its own, an earlier one or a new one."""
        numbers = self.rng.choice([self.numbers, f"k := {self.k}"])
        plain = self.partition(f"cluster_embeddings('faces', {numbers})")
        kept = self.partition(f"cluster_embeddings('faces', {numbers}, previous := 'earlier')")
        names = {(plain[number], kept[number]) for number in plain}
        assert len(names) == len(set(plain.values())) == len(set(kept.values()))
        earlier: dict[int, int] = dict(self.rows("FROM earlier"))
        greatest = max(earlier.values(), default=-1)
        for cluster in set(kept.values()):
            members = [number for number in kept if kept[number] == cluster]
            assert cluster > greatest or any(earlier.get(number) == cluster for number in members)
        self.con.execute(f"CREATE OR REPLACE TABLE earlier AS SELECT id, cluster_id FROM "
                         f"cluster_embeddings('faces', {numbers}, previous := 'earlier')")  # fmt: skip
        again = self.partition(f"cluster_embeddings('faces', {numbers}, previous := 'earlier')")
        assert again == kept

    def constrain(self):
        """Pairs are kept, or contradict each other; without any the clusters are those without."""
        ids = set(self.ids())
        numbers = self.rng.choice([self.numbers, f"k := {self.k}"])
        call = f"cluster_embeddings('faces', {numbers}, must_link := 'together', cannot_link := 'apart')"
        pairs = {name: [pair for pair in self.rows(f"FROM {name}") if set(pair) <= ids] for name in ("together", "apart")}
        group = {number: number for number in [*ids, *(end for pair in self.rows("FROM together UNION ALL FROM apart") for end in pair)]}
        for _ in group:
            for a, b in self.rows("FROM together"):
                group[a] = group[b] = min(group[a], group[b])
        contradicts = any(group[a] == group[b] for a, b in self.rows("FROM apart"))
        unknown = any(
            self.rows(f"FROM {name}") and not any(set(pair) & ids for pair in self.rows(f"FROM {name}")) for name in pairs
        )
        try:
            found = self.partition(call)
        except duckdb.InvalidInputException as error:
            assert contradicts and "cannot be kept apart" in str(error) or unknown and "none of its ids" in str(error), error
            return
        assert not contradicts and not unknown
        assert all(found[a] == found[b] for a, b in pairs["together"])
        assert all(found[a] != found[b] for a, b in pairs["apart"])
        if not self.rows("FROM together UNION ALL FROM apart"):
            assert found == self.partition(f"cluster_embeddings('faces', {numbers})")

    def assign(self):
        """New rows join clusters that stand, each as if alone, but for pairs that are kept apart."""
        numbers = self.rng.choice([self.numbers, f"k := {self.k}"])
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE standing AS FROM cluster_embeddings('faces', {numbers})")
        self.con.execute("CREATE OR REPLACE TEMP TABLE new AS FROM faces WHERE false")
        for number in range(1, self.rng.randint(2, 5)):
            self.con.execute("INSERT INTO new VALUES (?, ?)", [10**6 + number, self.face()])
        call = f"assign_clusters('new', base := 'faces', clusters := 'standing', {numbers})"
        found = self.rows(f"FROM {call}")
        known = {row[0] for row in self.rows("SELECT DISTINCT cluster_id FROM standing")}
        assert all((row[1] is None) == row[5] and (row[1] is None or row[1] in known) for row in found)
        for row in found:
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW alone AS FROM new WHERE id = {row[0]}")
            assert self.rows(f"FROM {call.replace('new', 'alone')}") == [row]
        self.con.execute("CREATE OR REPLACE TEMP TABLE twins AS SELECT a.id AS src, b.id AS dst FROM new a JOIN new b ON a.id < b.id")
        if len(found) > 1:
            apart = self.rows(f"SELECT cluster_id FROM {call[:-1]}, cannot_link := 'twins') WHERE cluster_id IS NOT NULL")
            assert len(apart) == len(set(apart))
            best = {row[1] for row in found} - {None}
            assert best <= {row[0] for row in apart}

    def run(self):
        self.insert()
        steps = [self.insert, self.insert, self.copy, self.change, self.delete, self.reopen, self.link, self.unlink]
        checks = [self.cluster, self.keep, self.constrain, self.assign]
        for _ in range(self.rng.randint(4, 10)):
            step = self.rng.choice(self.rng.choice([steps, checks]))
            self.steps.append(step.__name__)
            step()
        assert self.rows("SELECT density_peaks_slots()") == [(0,)]
        self.con.close()


def main(seconds: float, seed: int, count: int | None) -> int:
    start, done, failed, steps, told = time.monotonic(), 0, 0, 0, 1
    while (done < count) if count else time.monotonic() - start < seconds:
        faulthandler.dump_traceback_later(120, exit=True)
        with tempfile.TemporaryDirectory() as folder:
            sequence = Sequence(seed + done, folder)
            try:
                sequence.run()
            except Exception as error:
                if count == 1:
                    raise
                failed += 1
                print(f"seed {seed + done}: {' '.join(sequence.steps)}: {type(error).__name__} {str(error)[:400]}", flush=True)
        steps += len(sequence.steps)
        done += 1
        if time.monotonic() - start > 60 * told:
            print(f"{done} sequences, the last with seed {seed + done - 1}, {failed} fail", flush=True)
            told += 1
    print(f"{done} sequences of {steps} steps in {time.monotonic() - start:.0f} seconds, {failed} fail")
    return failed


if __name__ == "__main__":
    given = list(map(int, sys.argv[1:4]))
    sys.exit(min(1, main(*(given + [60, 1, 0][len(given) :]))))
