"""Planted mistakes: small changes of the source, each with the tests that must notice it.

The files *.toml beside this one list them:

    [[mutant]]
    name = "gain-interval-without-gain"
    file = "host/table/decay.c"             # from the root of the project
    old = "text that stands in the file once"
    new = "what it becomes"
    tests = ["ctest:table", "pytest:tests/cli/test_commands.py"]
    equivalent = "why no test can notice"   # instead of tests, where that is so

A test of ctest is a regular expression for its whole name, a test of pytest what pytest takes.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class BadMutant(Exception):
    """Says which one, and what is wrong."""


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    tests: tuple = ()
    equivalent: str = ""

    def apply(self, root):
        """Plants the mistake in the tree at root."""
        path = root / self.file
        path.write_text(self.text_with(path.read_text()))

    def text_with(self, text):
        if (count := text.count(self.old)) != 1:
            raise BadMutant(f"{self.name}: its old text stands {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)

    def check(self, root=ROOT):
        """Raises BadMutant where it cannot be planted."""
        path = root / self.file
        if not path.is_file():
            raise BadMutant(f"{self.name}: there is no {self.file}")
        if self.old == self.new:
            raise BadMutant(f"{self.name}: changes nothing")
        if bool(self.tests) == bool(self.equivalent):
            raise BadMutant(f"{self.name}: needs either tests or the reason why it is equivalent")
        if wrong := [t for t in self.tests if t.partition(":")[0] not in ("ctest", "pytest")]:
            raise BadMutant(f"{self.name}: {wrong[0]}: must begin with ctest: or pytest:")
        self.text_with(path.read_text())


def read_list(path):
    rows = tomllib.loads(path.read_text())["mutant"]
    return [Mutant(**{**row, "tests": tuple(row.get("tests", ()))}) for row in rows]


def read_all(folder=HERE):
    mutants = [m for path in sorted(folder.glob("*.toml")) for m in read_list(path)]
    names = [m.name for m in mutants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadMutant(f"{twice[0]}: is the name of two mutants")
    return mutants
