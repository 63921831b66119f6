"""Files that appear whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, ReportError

# Beside a whole report: what made it, and a digest of each of its files.
LIST = ".rhosweep-report.json"


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_list(folder, made_by):
    """Lists the files of a whole report, so that a later run of the same command knows them."""
    digests = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / LIST).write_text(json.dumps({"made_by": made_by, "files": digests}, indent=1))


def _read_list(folder):
    """{} where there is none."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return listed if isinstance(listed, dict) and isinstance(listed.get("files"), dict) else {}


def _outdated(folder, out):
    """Files that the same command wrote earlier, unchanged since, and that `out` lacks."""
    old, new = _read_list(folder), _read_list(out)
    if not new or old.get("made_by") != new["made_by"]:
        return []
    return [path for path in folder.iterdir()
            if path.name in old["files"] and path.name not in new["files"]
            and path.is_file() and not path.is_symlink()
            and _digest(path) == old["files"][path.name]]


def _make(folder):
    """Makes the folder; returns whether it was missing."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is not a folder: name another with -o")
    missing = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextmanager
def replaced_when_done(folder):
    """Yields an empty folder; what is in it at the end takes its place in `folder`, file by file,
    each at once, index.html last, and outdated files go. After an exception `folder` is as it was."""
    folder = Path(folder)
    made, work = False, None
    try:
        made = _make(folder)
        work = Path(tempfile.mkdtemp(prefix=".rhosweep-report-", dir=folder))
        out = work / "out"
        out.mkdir()
        yield work, out
        outdated = _outdated(folder, out)
        for path in sorted(out.iterdir(), key=lambda path: (path.name == "index.html", path.name)):
            os.replace(path, folder / path.name)
        for path in outdated:
            path.unlink()
    except OSError as error:
        raise ReportError(f"{error.filename or folder}: {error.strerror or error}") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
