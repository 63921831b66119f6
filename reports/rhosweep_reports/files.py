"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, ReportError


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
    each at once, index.html last. After an exception `folder` is as it was."""
    folder = Path(folder)
    made, work = False, None
    try:
        made = _make(folder)
        work = Path(tempfile.mkdtemp(prefix=".rhosweep-report-", dir=folder))
        out = work / "out"
        out.mkdir()
        yield work, out
        for path in sorted(out.iterdir(), key=lambda path: (path.name == "index.html", path.name)):
            os.replace(path, folder / path.name)
    except OSError as error:
        raise ReportError(f"{error.filename or folder}: {error.strerror or error}") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
