"""The flow of the data is one way: what no compiler checks about who may include and call whom.

Each rule is a function over source text, so that it is itself tested on text that breaks it.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The folders of host/ in the order of the data. A file may include its own folder and earlier ones.
FOLDERS = ["spec", "plan", "fit", "train", "work", "store", "table", "sweep", "commands", "usage"]
RANK = {f"host/{folder}": rank for rank, folder in enumerate(FOLDERS)} | {"host": len(FOLDERS)}

SQL_HOMES = ("host/store/", "host/table/")
EXIT_HOME = "host/main.c"

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


def included(path, text):
    """Paths from the root of the project's files that the text includes."""
    folder = Path("/") / Path(path).parent
    return [
        (folder / include).resolve().relative_to("/").as_posix() for include in INCLUDE.findall(text)
    ]


def upward_includes(path, text):
    """Includes that go against the flow: from kernels/ to host/, or to a later stage."""
    own = RANK.get(Path(path).parent.as_posix(), -1)
    return [
        target
        for target in included(path, text)
        if RANK.get(Path(target).parent.as_posix(), -1) > own or target.startswith("bench/")
    ]


def include_circles(files):
    """Units (a .c file and its header are one) that include themselves over others."""
    needs = {}
    for path, text in files:
        unit = Path(path).with_suffix("").as_posix()
        others = {Path(target).with_suffix("").as_posix() for target in included(path, text)}
        needs.setdefault(unit, set()).update(others - {unit})
    while leaves := [unit for unit, others in needs.items() if not others & needs.keys()]:
        for unit in leaves:
            del needs[unit]
    return sorted(needs)


def sql_strings(text):
    return [s for s in strings_of(text) if SQL.match(s)]


def calls_that_end_the_process(text):
    return [m[0] for m in ENDS_PROCESS.finditer(code_of(text))]


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_includes_follow_the_flow(path, text):
    if path.startswith("host/"):
        assert Path(path).parent.as_posix() in RANK, f"{path}: give its folder a place in FOLDERS"
    assert not upward_includes(path, text)


def test_no_unit_includes_itself():
    assert not include_circles(sources("kernels", "host"))


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_sql_stays_with_store_and_table(path, text):
    if not path.startswith(SQL_HOMES):
        assert not sql_strings(text)


@pytest.mark.parametrize(("path", "text"), [pytest.param(*s, id=s[0]) for s in sources("kernels", "host")])
def test_only_main_ends_the_process(path, text):
    if path != EXIT_HOME:
        assert not calls_that_end_the_process(text)


@pytest.mark.parametrize(
    ("path", "line", "wrong"),
    [
        ("kernels/drive.c", '#include "../host/spec/spec.h"', True),
        ("kernels/cpu/cpu_engine.c", '#include "../../host/plan/plan.h"', True),
        ("kernels/cpu/cpu_engine.c", '#include "../../bench/job.h"', True),
        ("kernels/cpu/cpu_engine.c", '#include "../engine.h"', False),
        ("host/plan/plan.c", '#include "../work/weights.h"', True),
        ("host/spec/spec.h", '#include "../plan/model.h"', True),
        ("host/work/weights.c", '#include "../plan/case.h"', False),
        ("host/fit/fit.c", '#include "../../kernels/base/status.h"', False),
        ("host/table/table.c", '#include "../sweep/pipeline.h"', True),
        ("host/commands/report.c", '#include "../cli.h"', True),
        ("host/cli.c", '#include "commands/report.h"', False),
    ],
)
def test_the_include_rule_itself(path, line, wrong):
    assert bool(upward_includes(path, line)) == wrong


def test_the_circle_rule_itself():
    a = ("host/plan/a.c", '#include "b.h"')
    b = ("host/plan/b.h", '#include "c.h"')
    assert not include_circles([a, b, ("host/plan/c.h", '#include "../spec/d.h"')])
    assert include_circles([a, b, ("host/plan/c.c", '#include "a.h"')])


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
