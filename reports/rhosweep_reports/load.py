"""The tables of a results database at one moment.

Numbers come from `rhosweep table`, so that a plotted number is always a tabled number. Curves and spectra
alone, which have hundreds of thousands of numbers, are read as arrays (database.py), and are the same. The
program is the one that the environment variable RHOSWEEP names (`rhosweep report` sets it), else
`rhosweep` on the PATH.
"""

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from . import database
from .connection import SQLITE_ERRORS, check, check_file, failure, with_connection
from .errors import InputError, ReportError
from .table import Table


SIZES = ("hidden", "steps", "batch")
_ARRAYS = {"profile": database.mean_curves, "lyapunov": database.spectra,
           "singular": database.singular_values}


def find_program():
    named = os.environ.get("RHOSWEEP")
    found = shutil.which(named or "rhosweep")
    if found:
        return found
    if named:
        raise ReportError(f"{named}: cannot be run: set RHOSWEEP to the program rhosweep")
    raise ReportError("rhosweep: not on the PATH: run `rhosweep report`, or set RHOSWEEP to it")


def _checked(table):
    for column in SIZES:
        for cell in table.text(column) if column in table else ():
            if not re.fullmatch("[1-9][0-9]*", cell):
                raise InputError(f"table {table.name}: {column}: {cell[:60] or 'nothing'} is no "
                                 "size: the database is damaged; name another file")
    return table


class Results:
    """One moment of a database, copied: a sweep may go on writing, all tables still agree."""

    def __init__(self, path, folder):
        self.database = Path(path)
        self.snapshot = Path(folder) / "snapshot.db"
        self.program = find_program()
        self._tables = {}
        check_file(self.database)
        try:
            fault = with_connection(self.database, self._copy)
        except SQLITE_ERRORS as error:
            raise failure(path, error) from error
        if fault != "ok":
            first = " ".join(fault.split())
            raise InputError(f"{self.database}: {first}: the database is damaged; "
                             "name another file")

    def _copy(self, source):
        """What quick_check says of the copy."""
        check(self.database, source)
        with closing(sqlite3.connect(self.snapshot)) as copy:
            copy.text_factory = source.text_factory
            source.backup(copy)
            return copy.execute("PRAGMA quick_check(1)").fetchone()[0]

    def write(self, name, output_format, path):
        """Writes a table as the program prints it."""
        command = [self.program, "table", name, str(self.snapshot), "--format", output_format]
        try:
            with open(path, "wb") as out:
                done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        except OSError as error:
            raise ReportError(f"{self.program}: {error.strerror}") from error
        if done.returncode != 0:
            why = done.stderr.decode(errors="replace").strip().removeprefix("rhosweep: ")
            why = " ".join(why.split()).replace(str(self.snapshot), str(self.database))
            kind = InputError if done.returncode == 2 else ReportError
            raise kind(why or f"{self.program}: ended with {done.returncode}")

    def read(self, name):
        """The table, read once; of those with arrays, the points and their arrays."""
        if name not in self._tables:
            table = _ARRAYS[name](self.snapshot, self.database) if name in _ARRAYS else self._printed(name)
            self._tables[name] = _checked(table)
        return self._tables[name]

    def _printed(self, name):
        path = self.snapshot.with_name(f"{name}.csv")
        self.write(name, "csv", path)
        with open(path, encoding="utf-8", errors="replace", newline="") as lines:
            return Table.from_csv(name, lines)
