"""The way into a results database, and what is refused as none."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from .errors import InputError, ReportError

APPLICATION_ID = 0x52484F53  # 'RHOS', as host/store/schema.sql says
SCHEMA_VERSIONS = (1, 2, 3, 4, 5, 6)
BUSY_SECONDS = 5
# As host/store/guard.c: what could run forever when a table is read.
FOREIGN_OBJECTS = (
    "SELECT CASE type WHEN 'index' THEN 'an index'"
    " WHEN 'table' THEN iif(rootpage > 0, 'a table', 'a virtual table') ELSE 'a ' || type END, name"
    " FROM sqlite_schema WHERE NOT (type = 'table' AND rootpage > 0 AND (name GLOB 'sqlite_stat[14]' OR name IN"
    " ('runs', 'cases', 'points', 'curves', 'state_curves', 'gradients', 'clips', 'lyapunov',"
    " 'singular_values', 'timings', 'radii', 'profile'))"
    " OR type = 'index' AND (name GLOB 'sqlite_autoindex_*' OR name = 'points_identity'))"
    " ORDER BY type DESC")
COMPUTED_COLUMNS = (
    "SELECT 'a computed column', x.name FROM sqlite_schema s, pragma_table_xinfo(s.name) x"
    " WHERE s.type = 'table' AND x.hidden <> 0")
# A message that quotes a damaged schema may be no UTF-8.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
UNLOCKED = "mode=ro&immutable=1"


def _mode(path):
    """How to open a database to read. A reader who may not write would leave the files of the
    write-ahead log beside it; without such a file no process writes, and no locks are needed."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro&readonly_shm=1" if Path(f"{path}-wal").exists() else UNLOCKED


def _state(path):
    """Differs once somebody has written to the file."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _text(stored):
    """Text as the program reads it: up to a 0, and whatever its bytes are."""
    return stored.partition(b"\0")[0].decode(errors="replace")


def _connect(path, mode):
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = _text
    return connection


def _try_to_read(path, mode, what):
    """What `what` returns and None, or None and the error that damage may have caused."""
    try:
        with closing(_connect(path, mode)) as connection:
            return what(connection), None
    except (*SQLITE_ERRORS, InputError, TypeError, ValueError, OverflowError) as error:
        return None, error


def with_connection(path, what):
    """what(connection) of a database; once more where it was read without locks and somebody wrote
    to it meanwhile."""
    path = Path(path).absolute()
    for _ in range(2):
        mode, before = _mode(path), _state(path)
        found, error = _try_to_read(path, mode, what)
        if mode != UNLOCKED or _state(path) == before:
            if error:
                raise error
            return found
    raise ReportError(f"{path}: a sweep has written to it meanwhile: run this again")


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
    foreign = (connection.execute(FOREIGN_OBJECTS).fetchone()
               or connection.execute(COMPUTED_COLUMNS).fetchone())
    if foreign:
        raise InputError(f"{path}: has {foreign[0]}, {foreign[1]}, which rhosweep never makes: "
                         "name another file")
    return version


def check_file(path):
    if not path.exists():
        raise InputError(f"{path}: no such file: name a database that `rhosweep sweep` wrote")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file: name a database")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty: run `rhosweep sweep` first")


def failure(name, error):
    """What to raise for an error of SQLite."""
    if isinstance(error, UnicodeDecodeError):
        error = error.object.decode(errors="replace")
    machine = isinstance(error, sqlite3.OperationalError) and \
        getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
    if machine:
        return ReportError(f"{name}: {error}")
    return InputError(f"{name}: {error}: the database is damaged, or is none; name another file")
