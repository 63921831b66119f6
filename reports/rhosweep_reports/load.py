"""The way in: a consistent picture of a results database, and the program's tables of it.

Numbers come from `rhosweep table` alone, so that a plotted number is always a tabled number. The
program is the one that the environment variable RHOSWEEP names (`rhosweep report` sets it), else
`rhosweep` on the PATH.
"""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from .errors import InputError, ReportError
from .table import Table

APPLICATION_ID = 0x52484F53  # 'RHOS', as host/store/schema.sql says
SCHEMA_VERSIONS = (1, 2)
BUSY_SECONDS = 5


def find_program():
    named = os.environ.get("RHOSWEEP")
    found = shutil.which(named or "rhosweep")
    if found:
        return found
    if named:
        raise ReportError(f"{named}: cannot be run: set RHOSWEEP to the program rhosweep")
    raise ReportError("rhosweep: not on the PATH: run `rhosweep report`, or set RHOSWEEP to it")


def _mode(path):
    """How to open a database to read. A reader who may not write would leave the files of the
    write-ahead log beside it; without such a file nobody writes, and no locks are needed."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"


def connect(path):
    path = Path(path).absolute()
    connection = sqlite3.connect(f"{path.as_uri()}?{_mode(path)}", uri=True, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    return connection


def check(path, connection):
    """The version of the schema, if it is one that is known here."""
    def pragma(name):
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    if pragma("application_id") != APPLICATION_ID:
        raise InputError(f"{path}: a database, but not one of rhosweep: name another file")
    version = pragma("user_version")
    if version not in SCHEMA_VERSIONS:
        raise InputError(f"{path}: has schema {version}, these reports know {SCHEMA_VERSIONS[-1]}: "
                         "use the rhosweep that wrote it, or another file")
    return version


def check_file(path):
    if not path.exists():
        raise InputError(f"{path}: no such file: name a database that `rhosweep sweep` wrote")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file: name a database")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty: run `rhosweep sweep` first")


class Results:
    """One moment of a database, copied: a sweep may go on writing, all tables still agree."""

    def __init__(self, database, folder):
        self.database = Path(database)
        self.snapshot = Path(folder) / "snapshot.db"
        self.program = find_program()
        self._tables = {}
        check_file(self.database)
        try:
            self._copy()
        except sqlite3.OperationalError as error:
            raise ReportError(f"{database}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"{database}: {error}: the database is damaged, or is none; "
                             "name another file") from error

    def _copy(self):
        with closing(connect(self.database)) as source:
            check(self.database, source)
            with closing(sqlite3.connect(self.snapshot)) as copy:
                source.backup(copy)
                fault = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            first = " ".join(fault.split())
            raise InputError(f"{self.database}: {first}: the database is damaged; "
                             "name another file")

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
        """The table, read once."""
        if name not in self._tables:
            path = self.snapshot.with_name(f"{name}.csv")
            self.write(name, "csv", path)
            with open(path, encoding="utf-8", errors="replace", newline="") as lines:
                self._tables[name] = Table.from_csv(name, lines)
        return self._tables[name]
