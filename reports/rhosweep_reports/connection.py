"""The way into a results database, and what is refused as none."""

import os
import sqlite3
from pathlib import Path

from .errors import InputError, ReportError

APPLICATION_ID = 0x52484F53  # 'RHOS', as host/store/schema.sql says
SCHEMA_VERSIONS = (1, 2)
BUSY_SECONDS = 5
# What could run for ever when a table is read.
FOREIGN = ("SELECT iif(type = 'table', 'virtual table', type), name FROM sqlite_schema"
           " WHERE type NOT IN ('table', 'index') OR type = 'table' AND rootpage = 0")


def _mode(path):
    """How to open a database to read. A reader who may not write would leave the files of the
    write-ahead log beside it; without such a file nobody writes, and no locks are needed."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"


def _text(stored):
    """Text as the program reads it: up to a 0, and whatever its bytes are."""
    return stored.partition(b"\0")[0].decode(errors="replace")


def connect(path):
    path = Path(path).absolute()
    connection = sqlite3.connect(f"{path.as_uri()}?{_mode(path)}", uri=True, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = _text
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
    foreign = connection.execute(FOREIGN).fetchone()
    if foreign:
        raise InputError(f"{path}: has a {foreign[0]}, {foreign[1]}, which rhosweep never makes: "
                         "name another file")
    return version


def check_file(path):
    if not path.exists():
        raise InputError(f"{path}: no such file: name a database that `rhosweep sweep` wrote")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file: name a database")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty: run `rhosweep sweep` first")


# A message that quotes a damaged schema may be no UTF-8.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def failure(name, error):
    """What to raise for an error of SQLite."""
    if isinstance(error, UnicodeDecodeError):
        error = error.object.decode(errors="replace")
    machine = isinstance(error, sqlite3.OperationalError) and \
        getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
    if machine:
        return ReportError(f"{name}: {error}")
    return InputError(f"{name}: {error}: the database is damaged, or is none; name another file")
