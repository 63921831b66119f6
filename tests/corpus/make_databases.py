"""Writes databases/, small crafted ones that no command may crash or hang on:
python make_databases.py PROGRAM"""

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "databases"
SWEEP = ["--quiet", "--cell", "tanh,lstm", "--hidden", "4", "--steps", "5", "--rho", "0.5",
         "--batch", "2", "--seeds", "1", "--engine", "cpu", "--threads", "1", "--memory", "64M"]
PAGE = 512
RECURSION = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r)"
LOOSE = ["CREATE TABLE loose AS SELECT * FROM {0}", "DROP TABLE {0}",
         "ALTER TABLE loose RENAME TO {0}"]


def as_view(table, select):
    return [f"ALTER TABLE {table} RENAME TO other", f"CREATE VIEW {table} AS {select}"]


def loose(table):
    return [statement.format(table) for statement in LOOSE]


def with_schema(sql):
    return ["PRAGMA writable_schema = ON", sql, "PRAGMA writable_schema = OFF"]


OF_TODAY = {
    "sweep": [],
    "view_without_end": as_view("cases", f"{RECURSION} SELECT other.* FROM other, r"),
    "view_of_runs": as_view("runs", "SELECT * FROM other"),
    "view_of_a_large_blob": as_view("curves", "SELECT 1 AS point_id, zeroblob(999999999) AS mean,"
                                              " NULL AS min, NULL AS max"),
    "trigger": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM cases; END"],
    "trigger_without_end": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN INSERT INTO timings"
                            f" (case_id) {RECURSION} SELECT x FROM r; END"],
    "unknown_table": ["CREATE TABLE person (name TEXT)"],
    "unknown_index": ["CREATE INDEX i ON points (abs(rho))"],
    "virtual_table": ["CREATE VIRTUAL TABLE v USING fts5(a)"],
    "virtual_cases": ["DROP TABLE cases", *with_schema(
        "INSERT INTO sqlite_schema VALUES ('table', 'cases', 'cases', 0,"
        " 'CREATE VIRTUAL TABLE cases USING none(a)')")],
    "computed_column": ["ALTER TABLE runs ADD COLUMN more TEXT AS (hex(zeroblob(400000000)))"],
    "odd_names": ["CREATE TABLE \"a\x1b[2J\nb\" (x)"],
    "damaged_schema": with_schema("UPDATE sqlite_schema SET sql = 'CREATE TABLE cases (' WHERE"
                                  " name = 'cases'"),
    "index_of_another_table": with_schema("UPDATE sqlite_schema SET rootpage = 2 WHERE name ="
                                          " 'points_identity'"),
    "two_tables_on_a_page": with_schema(
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name ="
        " 'cases') WHERE name = 'points'"),
    "no_runs": ["DROP TABLE runs"],
    "no_points": ["DROP TABLE points"],
    "no_rows": ["DELETE FROM curves", "DELETE FROM state_curves", "DELETE FROM gradients", "DELETE FROM clips",
                "DELETE FROM points", "DELETE FROM timings", "DELETE FROM radii",
                "DELETE FROM cases", "DELETE FROM runs"],
    "negative_units": ["UPDATE cases SET hidden = -4"],
    "no_steps": ["UPDATE cases SET steps = 0"],
    "steps_without_end": ["UPDATE cases SET steps = 9223372036854775807"],
    "many_units": ["UPDATE cases SET hidden = 9223372036854775807, batch = 9223372036854775807"],
    "text_for_numbers": [*loose("cases"), "UPDATE cases SET hidden = 'many', seed = x'00'"],
    "numbers_for_text": [*loose("cases"), "UPDATE cases SET cell = 1, model = 2.5, loss = NULL"],
    "short_curve": ["UPDATE curves SET mean = zeroblob(32), min = NULL, max = NULL"],
    "long_curve": ["UPDATE curves SET mean = zeroblob(8000), min = NULL, max = NULL"],
    "uneven_curves": ["UPDATE curves SET max = x'00'"],
    "curves_of_text": [*loose("curves"), "UPDATE curves SET mean = 'abc', min = 5"],
    "no_state_curves": ["DROP TABLE state_curves"],
    "view_of_state_curves": as_view("state_curves", f"{RECURSION} SELECT other.* FROM other, r"),
    "states_by_other_names": [*loose("state_curves"), "UPDATE state_curves SET state = char(27) ||"
                              " state WHERE state = 'h'"],
    "many_curves_of_a_state": [*loose("state_curves"),
                               *(6 * ["INSERT INTO state_curves SELECT * FROM state_curves"])],
    "state_curves_of_text": [*loose("state_curves"), "UPDATE state_curves SET mean = 'abc', min = 5"],
    "uneven_state_curves": ["UPDATE state_curves SET max = x'00'"],
    "long_state_curve": ["UPDATE state_curves SET mean = zeroblob(800), min = NULL, max = NULL,"
                         " zero = NULL WHERE state = 'c'"],
    "state_curves_of_no_point": ["PRAGMA foreign_keys = OFF", "UPDATE state_curves SET point_id = 77"],
    "state_curves_without_a_whole": ["DELETE FROM curves"],
    "odd_gates": ["UPDATE cases SET gate_bias = '0:1e9:1e-9', gate_scale = char(27) || '[2J', leak ="
                  " '9e999'"],
    "gates_of_no_number": ["UPDATE cases SET gate_bias = 'chrono:nan', leak = '-1,2'"],
    "no_gradients": ["DROP TABLE gradients"],
    "view_of_gradients": as_view("gradients", f"{RECURSION} SELECT other.* FROM other, r"),
    "odd_gradients": ["UPDATE gradients SET weight_ih = 1e308 * (point_id - 2), weight_hh = 9e999,"
                      " bias_ih = NULL", "UPDATE clips SET max_norm = -9e999"],
    "gradients_of_text": [*loose("gradients"), "UPDATE gradients SET weight_hh = 'steep', bias_ih ="
                          " x'00'"],
    "odd_numbers": ["UPDATE points SET rho = 9e999, g = -9e999, decay_rate = 1e308 * (id - 2),"
                    " fp16_underflow = -9223372036854775807"],
    "no_numbers": ["UPDATE points SET rho = NULL, g = NULL, decay_rate = NULL"],
    "control_text": ["UPDATE runs SET device = char(27) || '[2J' || char(155) || char(10)",
                     "UPDATE cases SET model = '$x_{' || char(0) || '}\\input{/etc/passwd}'"],
    "text_that_is_no_utf8": ["UPDATE runs SET host = CAST(x'ff80c0' AS TEXT)"],
    "points_of_no_case": ["PRAGMA foreign_keys = OFF", "UPDATE points SET case_id = case_id + 77"],
    "a_run_that_was_killed": ["UPDATE runs SET outcome = 'running', finished = NULL"],
    "spectra_of_text": [*loose("lyapunov"), "UPDATE lyapunov SET exponents = 'abcdefgh'"],
    "short_spectra": ["UPDATE lyapunov SET exponents = x'00'"],
    "spectra_of_minus_one": ["UPDATE lyapunov SET directions = -1"],
    "singular_values_of_text": [*loose("singular_values"), "UPDATE singular_values SET logs = 'a'"],
    "short_singular_values": ["UPDATE singular_values SET logs = x'00'"],
    "newer": ["PRAGMA user_version = 7"],
    "older_than_all": ["PRAGMA user_version = 0"],
    "version_1_in_name": ["PRAGMA user_version = 1"],
    "version_2_in_name": ["PRAGMA user_version = 2"],
    "version_3_in_name": ["PRAGMA user_version = 3"],
    "version_4_in_name": ["PRAGMA user_version = 4"],
    "version_5_in_name": ["PRAGMA user_version = 5"],
}
OF_VERSION_1 = {
    "version1": [],
    "version1_step_far_away": ["UPDATE profile SET step = 9999999 WHERE step = 12"],
    "version1_step_before_the_first": ["UPDATE profile SET step = -5 WHERE step = 12"],
    "version1_short_curve": ["DELETE FROM profile WHERE step = 12"],
    "version1_view": as_view("profile", f"{RECURSION} SELECT other.* FROM other, r"),
}
OF_VERSION_2 = {
    "version2": [],
    "version2_view": as_view("curves", f"{RECURSION} SELECT other.* FROM other, r"),
}
OF_VERSION_3 = {
    "version3": [],
    "version3_view": as_view("cases", f"{RECURSION} SELECT other.* FROM other, r"),
    "version3_with_a_gate": ["ALTER TABLE cases ADD COLUMN leak TEXT"],
}
OF_VERSION_4 = {
    "version4": [],
    "version4_view": as_view("timings", f"{RECURSION} SELECT other.* FROM other, r"),
    "version4_with_a_host": ["ALTER TABLE timings ADD COLUMN host TEXT"],
}
OF_VERSION_5 = {
    "version5": [],
    "version5_view": as_view("gradients", f"{RECURSION} SELECT other.* FROM other, r"),
}


def craft(source, name, statements):
    """A copy with small pages; without statements it is only that."""
    path = FOLDER / f"{name}.db"
    path.write_bytes(source.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = DELETE; PRAGMA page_size = {PAGE};"
                                 "PRAGMA legacy_alter_table = ON; VACUUM")
        for statement in statements:
            connection.execute(statement)
    return path


def patch(source, name, at, value):
    content = bytearray(source.read_bytes())
    content[at:at + len(value)] = value
    (FOLDER / f"{name}.db").write_bytes(content)


def root(path, table):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?",
                                  (table,)).fetchone()[0]


def circle(source, name, table, levels=15):
    """Pages that all lead to the same next one: rows without end, though the file is small.
    https://sqlite.org/fileformat2.html, section 1.6."""
    content = bytearray(source.read_bytes())
    first = len(content) // PAGE + 1
    pages = [root(source, table), *range(first, first + levels)]
    content += bytes(levels * PAGE)
    leaf = bytes(content[(pages[0] - 1) * PAGE:pages[0] * PAGE])
    for page, below in zip(pages, pages[1:]):
        cells = 70
        start = PAGE - 5 * cells
        header = bytes([5, 0, 0]) + cells.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0"
        header += below.to_bytes(4, "big")
        pointers = b"".join((start + 5 * i).to_bytes(2, "big") for i in range(cells))
        filled = header + pointers
        assert len(filled) <= start
        body = (below.to_bytes(4, "big") + b"\x01") * cells
        content[(page - 1) * PAGE:page * PAGE] = filled.ljust(start, b"\0") + body
    content[(pages[-1] - 1) * PAGE:pages[-1] * PAGE] = leaf
    content[28:32] = (len(content) // PAGE).to_bytes(4, "big")
    (FOLDER / f"{name}.db").write_bytes(content)


def write_damaged(good):
    whole = good.read_bytes()
    (FOLDER / "empty.db").write_bytes(b"")
    (FOLDER / "cut_in_the_header.db").write_bytes(whole[:60])
    (FOLDER / "cut_in_the_middle.db").write_bytes(whole[:len(whole) // 2])
    (FOLDER / "text.db").write_bytes(b"SQLite format 3, but not for long\n" * 9)
    patch(good, "write_ahead_log", 18, b"\2\2")
    patch(good, "page_size_0", 16, b"\0\0")
    patch(good, "absurd_page_count", 28, b"\xff\xff\xff\xf0")
    patch(good, "utf16", 56, b"\0\0\0\2")
    curves = (root(good, "curves") - 1) * PAGE
    last = curves + 8 + 2 * (int.from_bytes(whole[curves + 3:curves + 5], "big") - 1)
    cell = int.from_bytes(whole[last:last + 2], "big")
    patch(good, "blob_that_claims_to_be_large", curves + cell + 4, b"\xff\xff\x7f")
    patch(good, "row_that_claims_to_be_huge", last, (cell - 4).to_bytes(2, "big"))
    patch(FOLDER / "row_that_claims_to_be_huge.db", "row_that_claims_to_be_huge",
          curves + cell - 4, b"\x87\xff\xff\xff\x7f")
    for table in ("cases", "points", "curves", "state_curves", "gradients", "runs"):
        circle(good, f"circle_of_{table}", table)
    patch(good, "page_of_itself", (root(good, "points") - 1) * PAGE, b"\5\0\0\0\0\2\0\0"
          + root(good, "points").to_bytes(4, "big"))


def main(program):
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.db"):
        path.unlink()
    with tempfile.TemporaryDirectory() as folder:
        today = Path(folder) / "today.db"
        subprocess.run([program, "sweep", *SWEEP, "-o", today], check=True)
        with closing(sqlite3.connect(today, isolation_level=None)) as connection:
            connection.executescript(
                "UPDATE runs SET host = 'box', system = 'Linux', device = 'A CPU',"
                " command_line = 'rhosweep sweep', libraries = '', git_commit = '';"
                "UPDATE timings SET device = 'A CPU', host = 'box';"
                "INSERT INTO gradients SELECT id, 0.5, 1.5, -0.25, -0.25 FROM points;"
                "INSERT INTO lyapunov SELECT p.id, hidden, 0, 0, 1, zeroblob(8 * hidden),"
                " zeroblob(8 * hidden), NULL, -0.5, 0 FROM points p JOIN cases c ON c.id = case_id;"
                "INSERT INTO singular_values SELECT p.id, 0, 0, 3, zeroblob(8 * hidden *"
                " iif(cell = 'lstm', 2, 1)) FROM points p JOIN cases c ON c.id = case_id;"
                "INSERT INTO clips SELECT id, 1.0, run_id FROM cases")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name, statements in OF_TODAY.items():
            craft(today, name, statements)
    for version, crafted in enumerate((OF_VERSION_1, OF_VERSION_2, OF_VERSION_3, OF_VERSION_4,
                                           OF_VERSION_5), 1):
        for name, statements in crafted.items():
            craft(HERE.parent / "data" / f"version{version}.db", name, statements)
    write_damaged(FOLDER / "sweep.db")


if __name__ == "__main__":
    main(sys.argv[1])
