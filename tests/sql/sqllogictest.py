"""Runs test files in DuckDB's sqllogictest format, on the `duckdb` Python package.

DuckDB's own runner is a C++ program of its source tree. A file that passes here is meant to pass there: the rules are
that runner's (sqllogic_parser.cpp, sqllogic_test_runner.cpp, result_helper.cpp), quirks included. Where the two differ
this one is the stricter: it refuses rarer directives (UNSUPPORTED), rows listed under a labelled query (the other
ignores them), several statements in one query, a loop over nothing, and a `load` that would delete a file outside
__TEST_DIR__. One thing is merely different: `restart` forgets what SET has set.

Two rules to know when writing a file: FLOAT and DOUBLE columns compare within 1 percent (cast to VARCHAR to compare
exactly), and `rowsort` sorts only the actual rows, as text, so the expected ones must be written sorted.

`require density_peaks` loads build/density_peaks.duckdb_extension, or the file that DENSITY_PEAKS_EXTENSION names.
Needs the packages duckdb and pyarrow.
"""

import hashlib
import math
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent.parent
EXTENSION = "density_peaks"
BUILT = ROOT / "build" / f"{EXTENSION}.duckdb_extension"
EXTENSION_PATH = Path(os.environ.get("DENSITY_PEAKS_EXTENSION", BUILT)).absolute()

CONFIG = {
    "allow_unsigned_extensions": True,
    # As in DuckDB's runner: a file says what it requires, and nothing comes over the network.
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    # Else a table that does not exist could be found among the Python variables.
    "python_enable_replacements": False,
    # Results leave the database as Arrow, and every type must come out as it went in.
    "arrow_lossless_conversion": True,
}
# Directive -> the fewest and the most arguments.
DIRECTIVES = {
    "statement": (1, 2), "query": (1, 3), "loop": (3, 3), "foreach": (2, 1000), "endloop": (0, 0), "mode": (1, 1),
    "halt": (0, 0), "require": (1, 2), "require-env": (1, 2), "load": (0, 2), "restart": (0, 1), "reconnect": (0, 0),
}  # fmt: skip
UNSUPPORTED = (
    "concurrentforeach", "concurrentloop", "hash-threshold", "onlyif", "reset", "set", "skipif", "sleep", "tags",
    "test-env", "unzip",
)  # fmt: skip
# What `require` may name beside extensions, and always holds for a released DuckDB.
BUILD_FLAGS = ("64bit", "allow_unsigned_extensions", "no_alternative_verify", "noforcestorage", "skip_reload")
SORT_MODES = ("none", "nosort", "rowsort", "sort", "valuesort")
NUMERIC = re.compile(r"(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(.*\))$")
HASH = re.compile(r"[0-9]+ values hashing to [0-9a-z]{32}$")
SHOWN_LINES = 100


class SqlLogicError(AssertionError):
    """A test that failed or a file that is malformed; the message starts with `file:line:`."""


class Skipped(Exception):
    """The file asks for something that is not here."""


@dataclass
class Record:
    """One directive with all that belongs to it."""

    line: int
    kind: str
    args: list
    sql: str = ""
    expected: list = field(default_factory=list)
    body: list = field(default_factory=list)


class Parser:
    """Reads the records of one file. An empty line or a comment ends a statement; an empty line ends a result."""

    def __init__(self, path):
        self.path = path
        # An empty line in front, so that self.at counts lines from 1.
        self.lines = ["", *Path(path).read_text(encoding="utf-8").replace("\r", "").split("\n")]
        self.at = 0

    def fail(self, message):
        raise SqlLogicError(f"{self.path}:{self.at}: {message}")

    def records(self):
        """Yields the top-level records one by one, so that what follows `halt` or a failed `require` is never read."""
        loops, skip_level = [], 0
        while self.next_record():
            record = self.directive()
            if record.kind == "mode":
                if record.args[0] not in ("skip", "unskip"):
                    self.fail(f"mode {record.args[0]} is not supported by this runner")
                skip_level += 1 if record.args[0] == "skip" else -1
                continue
            if skip_level > 0:
                continue
            if record.kind == "halt":
                break
            if record.kind in ("loop", "foreach"):
                loops.append(record)
                continue
            if record.kind == "endloop":
                if not loops:
                    self.fail("endloop without a loop")
                record = loops.pop()
            elif record.kind in ("statement", "query"):
                self.read_block(record)
            elif loops and record.kind == "require-env":
                self.fail("require-env cannot be used in a loop")
            if loops:
                loops[-1].body.append(record)
            else:
                yield record
        if loops:
            self.at = loops[-1].line
            self.fail(f"{loops[-1].kind} without endloop")

    def ends(self, at):
        return at >= len(self.lines) or not self.lines[at] or self.lines[at].startswith("#")

    def is_divider(self):
        return self.at < len(self.lines) and self.lines[self.at] == "----"

    def next_record(self):
        """Moves to the next line after an empty line or a comment; False at the end of the file."""
        while not self.ends(self.at):
            self.at += 1
        while self.at < len(self.lines) and self.ends(self.at):
            self.at += 1
        return self.at < len(self.lines)

    def directive(self):
        kind, *args = self.lines[self.at].split() or [""]
        if kind in UNSUPPORTED:
            self.fail(f"{kind} is not supported by this runner")
        if kind not in DIRECTIVES:
            self.fail(f"unknown directive {kind!r} (an empty line or a comment ends the statement before it)")
        fewest, most = DIRECTIVES[kind]
        if not fewest <= len(args) <= most:
            self.fail(f"{kind} takes {fewest} to {most} arguments, not {len(args)}")
        if kind not in ("statement", "query") and not self.ends(self.at + 1):
            self.fail(f"{kind} must be followed by an empty line")
        return Record(self.at, kind, args)

    def read_block(self, record):
        """The SQL text, and after ---- the expected rows or error message."""
        first = record.args[0]
        if record.kind == "statement" and first not in ("ok", "error", "maybe"):
            self.fail(f"statement is followed by ok, error or maybe, not {first}")
        if record.kind == "query" and set(first) - set("TIR"):
            self.fail(f"query is followed by one letter I, T or R a column, not {first}")
        self.at += 1
        start = self.at
        while not self.ends(self.at) and not self.is_divider():
            self.at += 1
        record.sql = "\n".join(self.lines[start : self.at])
        if not record.sql:
            self.fail(f"{record.kind} without SQL")
        if record.kind == "statement" and self.is_divider() != (first != "ok"):
            self.fail("statement error and maybe need ---- and the expected message, statement ok has none")
        if self.is_divider():
            self.at += 1
        elif record.kind == "statement":
            return
        while self.at < len(self.lines) and self.lines[self.at]:
            record.expected.append(self.lines[self.at])
            self.at += 1


class Runner:
    """Runs one file on a database of its own."""

    def __init__(self, path, test_dir):
        self.path, self.test_dir = path, Path(test_dir).resolve()
        self.variables, self.labels, self.loops = {}, {}, []
        self.db, self.extension_loaded = None, False
        # A second database turns values into text, so that the one under test sees only the file's statements.
        self.formatter = duckdb.connect(":memory:", config={**CONFIG, "threads": 1})

    def run(self):
        try:
            self.open(":memory:")
            for record in Parser(self.path).records():
                self.execute(record)
        finally:
            self.close()
            self.formatter.close()

    def open(self, database, read_only=False, load_extension=True):
        self.close()
        self.database, self.read_only = database, read_only
        self.db = duckdb.connect(database, read_only=read_only, config=CONFIG)
        # Closing the first connection would close its cursors, so that one only holds the database.
        self.con, self.named = self.db.cursor(), {}
        if self.extension_loaded and load_extension:
            self.load_extension()

    def close(self):
        if self.db:
            self.db.close()

    def load_extension(self):
        path = str(EXTENSION_PATH).replace("'", "''")
        self.con.execute(f"LOAD '{path}'")

    def connection(self, name):
        if name is None:
            return self.con
        if name not in self.named:
            self.named[name] = self.db.cursor()
        return self.named[name]

    def execute(self, record):
        getattr(self, "do_" + record.kind.replace("-", "_"))(record)

    def fail(self, record, message, **parts):
        loops = "".join(f" [{name}={value}]" for name, value in self.loops)
        text = [f"{self.path}:{record.line}:{loops} {message}"]
        for title, content in parts.items():
            lines = ("\n".join(content) if isinstance(content, list) else str(content)).split("\n")
            text += [f"{title}:", *("    " + line for line in lines[:SHOWN_LINES])]
            if len(lines) > SHOWN_LINES:
                text.append(f"    ... {len(lines) - SHOWN_LINES} more lines")
        raise SqlLogicError("\n".join(text))

    def keywords(self, text):
        for name, value in self.variables.items():
            text = text.replace("${%s}" % name, value).replace("{%s}" % name, value)
        text = text.replace("__TEST_DIR__", str(self.test_dir)).replace("{TEST_DIR}", str(self.test_dir))
        return text.replace("__WORKING_DIRECTORY__", os.getcwd())

    def loop_values(self, text):
        for name, value in self.loops:
            pairs = [(name, value)] if "," not in name else zip(name.split(","), value.split(","))
            for part, replacement in pairs:
                text = text.replace("${%s}" % part, self.keywords(replacement))
        return text

    # Directives, one method each.

    def do_require(self, record):
        name = record.args[0].lower()
        if name == EXTENSION:
            # Not skipped: without the extension a green run would have tested nothing.
            if not EXTENSION_PATH.exists():
                self.fail(record, f"no extension at {EXTENSION_PATH}: build it, or set DENSITY_PEAKS_EXTENSION")
            try:
                self.load_extension()
            except duckdb.Error as error:
                self.fail(record, "the extension does not load", error=error)
            self.extension_loaded = True
        elif name == "notwindows" and os.name != "nt" or name in BUILD_FLAGS:
            pass
        else:
            found = "SELECT count(*) FROM duckdb_extensions() WHERE loaded AND extension_name = ?"
            if not first_row(self.formatter, found, [name])[0]:
                raise Skipped(f"require {name}")

    def do_require_env(self, record):
        name, *wanted = record.args
        value = os.environ.get(name)
        if value is None or wanted not in ([], [value]):
            raise Skipped("require-env " + " ".join(record.args))
        self.variables[name] = value

    def do_loop(self, record):
        name, *bounds = record.args
        try:
            start, end = map(int, bounds)
        except ValueError:
            self.fail(record, "loop takes a name and two whole numbers, such as loop i 0 10")
        self.repeat(record, name, [str(i) for i in range(start, end)])

    def do_foreach(self, record):
        name, *values = record.args
        for value in values:
            if value[0] in "<!":
                self.fail(record, f"{value} is not supported by this runner: list the values")
            if "," in name and value.count(",") != name.count(","):
                self.fail(record, f"{value} needs as many commas as {name}")
        self.repeat(record, name, values)

    def repeat(self, record, name, values):
        if not values:
            self.fail(record, "a loop over nothing")
        for value in values:
            self.loops.append((name, value))
            for inner in record.body:
                self.execute(inner)
            self.loops.pop()

    def do_load(self, record):
        path = self.loop_values(self.keywords(record.args[0])) if record.args else ":memory:"
        mode = record.args[1].lower() if len(record.args) > 1 else "readwrite"
        if mode not in ("readonly", "readwrite"):
            self.fail(record, f"load takes readonly or readwrite after the path, not {mode}")
        self.close()
        if record.args and mode == "readwrite":
            if not Path(path).resolve().is_relative_to(self.test_dir):
                self.fail(record, "load starts by deleting the file, so it must be under __TEST_DIR__")
            for file in (path, path + ".wal"):
                Path(file).unlink(missing_ok=True)
        self.reopen(record, path, mode == "readonly")

    def do_restart(self, record):
        if self.database == ":memory:":
            self.fail(record, "an in-memory database cannot restart: load a file first")
        if record.args not in ([], ["no_extension_load"]):
            self.fail(record, "restart takes nothing or no_extension_load")
        self.reopen(record, self.database, self.read_only, not record.args)

    def reopen(self, record, *arguments):
        try:
            self.open(*arguments)
        except duckdb.Error as error:
            self.fail(record, "the database does not open", error=error)

    def do_reconnect(self, record):
        self.con.close()
        self.con = self.db.cursor()

    def do_statement(self, record):
        mode, *name = record.args
        sql = self.loop_values(self.keywords(record.sql))
        expected = "\n".join(record.expected)
        try:
            self.fetch(self.connection(name[0] if name else None), sql)
        except duckdb.Error as raised:
            error = str(raised)
        else:
            if mode == "error":
                self.fail(record, "the statement passed where it should fail", sql=sql, expected=expected)
            return
        if mode == "ok":
            self.fail(record, "the statement failed", sql=sql, error=error)
        if "INTERNAL" in error or "differs from original result!" in error:
            self.fail(record, "an internal error is never expected", sql=sql, error=error)
        if expected in error or self.keywords(expected) in error:
            return
        # DuckDB's runner matches the error as it prints it, with a newline at the end.
        if not self.matches(record, error + "\n", expected):
            self.fail(record, "another error message", sql=sql, expected=expected, actual=error)

    def do_query(self, record):
        letters, mode, label = (record.args + [None, None])[:3]
        # As in DuckDB's runner: a word that is no sort mode is the name of a connection.
        connection = self.connection(None if mode in SORT_MODES else mode)
        sql = self.loop_values(self.keywords(record.sql))
        try:
            if len(connection.extract_statements(sql)) > 1:
                self.fail(record, "a query is one statement: the runners disagree on whose result counts", sql=sql)
            names, types, table = self.fetch(connection, sql)
            rows = self.render(connection, types, table)
        except duckdb.Error as error:
            self.fail(record, "the query failed", sql=sql, error=error)
        if mode in ("rowsort", "sort"):
            rows.sort()
        values = [value for row in rows for value in row]
        if mode == "valuesort":
            values.sort()
        expected = [self.loop_values(line) for line in record.expected]

        def wrong(message, **parts):
            width = max(len(types), 1)
            actual = ["\t".join(values[i : i + width]) for i in range(0, len(values), width)]
            self.fail(record, message, **{"sql": sql, "expected": expected, "actual": actual, **parts})

        if expected and expected[0].startswith("<FILE>:"):
            wrong("<FILE>: is not supported by this runner")
        is_hash = len(expected) == 1 and HASH.match(expected[0])
        if label or is_hash:
            digest = hashlib.md5("".join(value + "\n" for value in values).encode()).hexdigest()
            actual = f"{len(values)} values hashing to {digest}"
            if expected and not is_hash:
                wrong("only the hash of a labelled query is compared, so it cannot list rows", hash=actual)
            if is_hash and expected[0] != actual:
                wrong("wrong hash", hash=actual)
            if label and self.labels.setdefault(label, actual) != actual:
                wrong(f"not the result of the first query with label {label}", first=self.labels[label], hash=actual)
            return
        if len(letters) != len(types):
            wrong(f"expected {len(letters)} columns, got {len(types)}")
        for i, cell in enumerate(self.cells(expected, len(types), len(rows), wrong)):
            row, column = divmod(i, len(types))
            if not self.equal(record, values[i], cell, types[column]):
                wrong(f"row {row + 1}, column {column + 1} ({names[column]}): expected {cell}, got {values[i]}")

    # Results.

    def fetch(self, connection, sql):
        """Runs the SQL as it stands and to its end; the columns' names and types, and an Arrow table."""
        with warnings.catch_warnings():
            # DuckDB warns of a copy and advises a relation, but that would run the SQL as a subquery.
            warnings.simplefilter("ignore", UserWarning)
            result = connection.execute(sql)
            if result is None:
                return [], [], None
            columns = result.description
            return [column[0] for column in columns], [str(column[1]) for column in columns], result.to_arrow_table()

    def render(self, connection, types, table):
        """The rows as text, by DuckDB's own cast to VARCHAR."""
        if table is None or table.num_rows == 0:
            return []
        if any("TIME ZONE" in name or "TIMESTAMPTZ" in name for name in types):
            (zone,) = first_row(connection, "SELECT current_setting('TimeZone')")
            self.formatter.execute(f"SET TimeZone = '{zone}'")
        # Arrow has no tuples: they arrive as structs.
        columns = [f"CAST(c{i} AS {name})" if "TUPLE(" in name else f"c{i}" for i, name in enumerate(types)]
        relation = self.formatter.from_arrow(table.rename_columns([f"c{i}" for i in range(len(types))]))
        rows = relation.project(", ".join(f"CAST({column} AS VARCHAR)" for column in columns)).fetchall()
        return [[cell_text(value, name) for value, name in zip(row, types)] for row in rows]

    def cells(self, expected, columns, rows, wrong):
        """Splits the expected lines into values; a line is a row of tab-separated values, or one value."""
        row_wise = (columns > 1 and len(expected) == rows) or all("\t" in line for line in expected)
        if not row_wise and len(expected) % columns:
            wrong(f"{len(expected)} expected values do not fill rows of {columns} columns")
        expected_rows = len(expected) if row_wise else len(expected) // columns
        if expected_rows != rows:
            wrong(f"expected {expected_rows} rows, got {rows}")
        if not row_wise:
            return expected
        for i, line in enumerate(expected):
            if line.count("\t") + 1 != columns:
                wrong(f"row {i + 1} of the expected result does not have {columns} columns separated by tabs")
        return [cell for line in expected for cell in line.split("\t")]

    def equal(self, record, actual, expected, type_name):
        if actual == expected or actual == self.keywords(expected) or self.matches(record, actual, expected):
            return True
        if type_name == "BOOLEAN":
            return actual == {"true": "1", "false": "0"}.get(expected.lower())
        if not NUMERIC.match(type_name):
            return False
        cast = f"SELECT TRY_CAST(? AS {type_name}), TRY_CAST(? AS {type_name})"
        a, b = first_row(self.formatter, cast, [actual, expected])
        if a is None or b is None:
            return False
        if type_name not in ("FLOAT", "DOUBLE") or math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= abs(a) * 0.01 + 1e-8 or (math.isnan(a) and math.isnan(b))

    def matches(self, record, actual, expected):
        """<REGEX>: and <!REGEX>:, a full match by RE2 as in DuckDB; False for a text that is neither."""
        for mark, wanted in (("<REGEX>:", True), ("<!REGEX>:", False)):
            if expected.startswith(mark):
                pattern = expected.removeprefix(mark)
                try:
                    (found,) = first_row(self.formatter, "SELECT regexp_full_match(?, ?, 's')", [actual, pattern])
                except duckdb.Error as error:
                    self.fail(record, f"the pattern {pattern} is not valid", error=error)
                return found == wanted
        return False


def first_row(connection, sql, parameters=None):
    # Not fetchone: it leaves the result open, and a connection with an open result refuses the next statement.
    return connection.execute(sql, parameters).fetchall()[0]


def cell_text(value, type_name):
    if value is None:
        return "NULL"
    if type_name == "BOOLEAN":
        return "1" if value == "true" else "0"
    return value.replace("\0", "\\0") or "(empty)"


def run_file(path, test_dir):
    """Runs one file, with test_dir as its __TEST_DIR__; raises SqlLogicError or Skipped."""
    Runner(path, test_dir).run()
