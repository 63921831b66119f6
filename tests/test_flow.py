"""The flow of the data is one way: what no compiler checks about who may include and call whom.

Each rule is a function over source text, so that it is itself tested on text that breaks it.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The stages of host/ in the order of the data. A file may include its own stage and earlier ones.
STAGES = [
    ["progress", "interrupt", "queue"],
    ["spec"],
    ["npz"],
    ["model"],
    ["case"],
    ["plan"],
    ["powers"],
    ["radius"],
    ["weights"],
    ["shared_weights"],
    ["launch"],
    ["fit"],
    ["theory", "finding"],
    ["worker"],
    ["store"],
    ["table"],
    ["provenance"],
    ["pipeline"],
    ["inspect", "devices", "report"],
    ["cli"],
    ["main"],
]
RANK = {name: rank for rank, names in enumerate(STAGES) for name in names}

SQL_HOME = {"host/store.c", "host/table.c"}
EXIT_HOME = {"host/main.c"}

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
SQL = re.compile(
    r"^\s*(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s"
    r"|CREATE\s+(TABLE|INDEX|VIEW|UNIQUE)\b|PRAGMA\s|BEGIN\b|COMMIT\b|ROLLBACK\b|ATTACH\s)"
)
ENDS_PROCESS = re.compile(
    r"\b(exit|_exit|_Exit|quick_exit|abort|errx?|verrx?|assert)\s*\(|\b__builtin_trap\b"
)


def sources(*folders):
    """Path from the root and text of every C file in the folders."""
    files = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".c", ".h", ".cu", ".cuh"}
    ]
    assert files, f"no source in {folders}"
    return [(path.relative_to(ROOT).as_posix(), path.read_text()) for path in files]


def code_of(text):
    """The text without comments, strings and character constants."""
    return COMMENT_OR_STRING.sub(lambda m: '""' if m[0][0] in "\"'" else " ", text)


def strings_of(text):
    """Every string constant of the text, without its quotes."""
    return [m[0][1:-1] for m in COMMENT_OR_STRING.finditer(text) if m[0][0] == '"']


def upward_includes(path, text):
    """Includes that go against the flow: from kernels/ to host/, or to a later stage."""
    wrong = []
    for include in INCLUDE.findall(text):
        target = (Path("/") / path).parent.joinpath(include)
        folder, stem = Path(*target.parts[:-1]).resolve(), target.stem
        if path.startswith("kernels/"):
            if "host" in folder.parts or "bench" in folder.parts:
                wrong.append(include)
        elif folder == Path("/host") and RANK.get(stem, -1) > RANK[Path(path).stem]:
            wrong.append(include)
    return wrong


def sql_strings(text):
    return [s for s in strings_of(text) if SQL.match(s)]


def calls_that_end_the_process(text):
    return [m[0] for m in ENDS_PROCESS.finditer(code_of(text))]


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_includes_follow_the_flow(path, text):
    if path.startswith("host/"):
        assert Path(path).stem in RANK, f"{path}: give its stage a place in STAGES of this test"
    assert not upward_includes(path, text)


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_sql_stays_with_store_and_table(path, text):
    if path not in SQL_HOME:
        assert not sql_strings(text)


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_only_main_ends_the_process(path, text):
    if path not in EXIT_HOME:
        assert not calls_that_end_the_process(text)


@pytest.mark.parametrize(
    ("path", "line", "wrong"),
    [
        ("kernels/drive.c", '#include "../host/spec.h"', True),
        ("kernels/cpu/cpu_engine.c", '#include "../../host/plan.h"', True),
        ("kernels/cpu/cpu_engine.c", '#include "../engine.h"', False),
        ("host/plan.c", '#include "weights.h"', True),
        ("host/spec.h", '#include "model.h"', True),
        ("host/case.h", '#include "plan.h"', True),
        ("host/weights.c", '#include "case.h"', False),
        ("host/fit.c", '#include "../kernels/status.h"', False),
        ("host/table.c", '#include "pipeline.h"', True),
    ],
)
def test_the_include_rule_itself(path, line, wrong):
    assert bool(upward_includes(path, line)) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('run(db, "SELECT rho FROM point");', True),
        ('run(db, "insert into x");  /* prose may be lower case */', False),
        ('run(db,\n    "INSERT OR IGNORE INTO point VALUES (?)");', True),
        ('fail("spec: UPDATE is no key");', False),
        ("/* SELECT nothing */", False),
    ],
)
def test_the_sql_rule_itself(text, wrong):
    assert bool(sql_strings(text)) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("if (bad) exit(1);", True),
        ("abort ();", True),
        ("/* exit(1) */ int rs_exit_code(int x);", False),
        ('puts("exit(1)");', False),
        ("pthread_exit(0);", False),
    ],
)
def test_the_exit_rule_itself(text, wrong):
    assert bool(calls_that_end_the_process(text)) == wrong
