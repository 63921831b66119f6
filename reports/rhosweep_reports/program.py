"""Runs the program `rhosweep sweep` from Python: options as keywords, networks as arrays."""

import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

import numpy as np

from . import database
from .errors import InputError, ReportError
from .load import find_program


def _weights(value):
    """float32 or float64, of an array or a tensor; PyTorch is not imported."""
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        # numpy has no bfloat16; a float holds each of its values
        value = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    array = np.asarray(value)
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _model(model, folder):
    """The path of a file that holds the network."""
    if isinstance(model, (str, Path)):
        return Path(model).absolute()
    arrays = model.state_dict() if hasattr(model, "state_dict") else model
    path = folder / "model.npz"
    np.savez(path, **{name: _weights(value) for name, value in arrays.items()})
    return path


def _word(value):
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    return str(value)


def _value(value):
    """A value of a spec file; a list in lines of its own, for lines may not be long."""
    values = [value] if isinstance(value, str) else np.ravel(np.asarray(value, object))
    return ",\n  ".join(map(_word, values))


def _run(command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except OSError as error:
        raise ReportError(f"{command[0]}: {error.strerror}") from error
    if done.returncode == 0:
        return
    why = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("rhosweep: ")
    kind = InputError if done.returncode == 2 else ReportError
    raise kind(why or f"{command[0]}: ended with {done.returncode}")


def sweep(model=None, output=None, **options):
    program = find_program()
    if hasattr(model, "nonlinearity") and "cell" not in options:
        options.setdefault("nonlinearity", model.nonlinearity)  # as torch.nn.RNN has it
    folder = Path(tempfile.mkdtemp(prefix="rhosweep-"))
    tables = database.Tables(output if output is not None else folder / "results.db")
    weakref.finalize(tables, shutil.rmtree, folder, ignore_errors=True)
    spec = folder / "sweep.ini"
    lines = [f"{name.replace('_', '-')} = {_value(value)}" for name, value in options.items()]
    spec.write_text("\n".join(["[sweep]", *lines, ""]), encoding="utf-8")
    command = [program, "sweep", spec, "--quiet", "--output", tables.path]
    if model is not None:
        command += ["--model", _model(model, folder)]
    _run([str(word) for word in command])
    return tables
