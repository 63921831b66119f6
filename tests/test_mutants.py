"""Planted mistakes stay applicable: scripts/mutate plants them, not part of every test run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "mutants"))
from mutants import BadMutant, Mutant, read_all  # noqa: E402

MUTANTS = read_all()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_planted(mutant):
    mutant.check()


GOOD = {"name": "m", "file": "a.c", "old": "1 + 1", "new": "1 - 1", "tests": ("ctest:a",)}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"file": "b.c"}, "there is no b.c"),
        ({"old": "2"}, "0 times"),
        ({"old": "1"}, "2 times"),
        ({"new": "1 + 1"}, "changes nothing"),
        ({"tests": ()}, "needs either"),
        ({"equivalent": "why not"}, "needs either"),
        ({"tests": ("a",)}, "must begin with"),
    ],
)
def test_a_mutant_that_cannot_be_planted_is_refused(tmp_path, change, why):
    (tmp_path / "a.c").write_text("int x = 1 + 1;\n")
    Mutant(**GOOD).check(tmp_path)
    with pytest.raises(BadMutant, match=why):
        Mutant(**{**GOOD, **change}).check(tmp_path)


def test_a_mutant_changes_its_place_alone(tmp_path):
    (tmp_path / "a.c").write_text("int x = 1 + 1;\n")
    Mutant(**GOOD).apply(tmp_path)
    assert (tmp_path / "a.c").read_text() == "int x = 1 - 1;\n"
