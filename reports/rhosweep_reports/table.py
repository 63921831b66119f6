"""A table as `rhosweep table NAME DB --format csv` prints it: columns of text, read as numbers when
asked for. It is also where the columns that tell cases apart are listed."""

import csv
import sys
from functools import cached_property

import numpy as np

from .errors import InputError
from .text import printable

# What tells cases apart besides the seed, in the order of the program's tables (host/plan/case.c);
# `model` is a name for `model_digest`.
SHAPE = ("cell", "ensemble", "hidden", "steps")
# Settings that only some cells have: empty for the others.
OF_CELLS = ("gate_bias", "gate_scale", "leak")
SETTINGS = ("batch", "input", "input_size", "h0", "warmup", "loss", "fit_skip", *OF_CELLS,
            "precision", "raw", "engine", "model", "model_digest")
NETWORK = (*SHAPE, *SETTINGS)
FAMILY = tuple(column for column in NETWORK if column != "hidden")
CELL = ("cell", *OF_CELLS)

SPEED = ("bench", "workers")  # tables of benchmark JSON, not of a database

_LINES = {"spec": "\n"}  # columns whose text has lines
# A spec that lists every seed is longer than the csv module's own limit.
csv.field_size_limit(sys.maxsize)


def _number(text):
    return float(text) if text else float("nan")


def _printable(header, columns):
    return [tuple(printable(cell, _LINES.get(name, "")) for cell in cells)
            for name, cells in zip(header, columns, strict=True)]


class Table:
    """Rows of text with named columns, and of a table of curves, an array beside each row. Text
    is printable. Parts share the columns of their whole."""

    def __init__(self, name, header, columns, curves=()):
        self.name = name
        self.header = list(header)
        self.curves = curves
        self._columns = dict(zip(header, _printable(header, columns), strict=True))
        self._numbers = {}
        self._varies = {}

    @classmethod
    def from_csv(cls, name, lines):
        reader = csv.reader(lines)
        try:
            header = next(reader)
            rows = list(reader)
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
            return cls(name, header, columns)
        except (StopIteration, ValueError, csv.Error) as error:
            raise InputError(f"table {name}: is no table: {error}") from error

    @classmethod
    def from_rows(cls, name, header, rows):
        """From dicts of text."""
        return cls(name, header, [tuple(row[column] for row in rows) for column in header])

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __contains__(self, column):
        return column in self._columns

    def text(self, column):
        return self._columns[column]

    def numbers(self, column):
        """A column as doubles; NaN where it is empty."""
        if column not in self._numbers:
            self._numbers[column] = np.array([_number(cell) for cell in self.text(column)], float)
        return self._numbers[column]

    def one(self, column):
        """The first row's text: for columns that all rows share."""
        return self.text(column)[0]

    def rows(self):
        for cells in zip(*(self.text(column) for column in self.header), strict=True):
            yield dict(zip(self.header, cells, strict=True))

    def split(self, columns):
        """Parts that agree in all of `columns`, in the order of their first rows."""
        places = {}
        for at, key in enumerate(zip(*(self.text(column) for column in columns), strict=True)):
            places.setdefault(key, []).append(at)
        return [self._part(np.array(at)) for at in places.values()]

    def _part(self, at):
        return _Part(self, at)

    def values(self, column):
        """What the column holds where it is not empty, each once, in the order of the rows."""
        return [cell for cell in dict.fromkeys(self.text(column)) if cell]

    def varies(self, column):
        if column not in self._varies:
            self._varies[column] = len(set(self.text(column))) > 1
        return self._varies[column]


class _Part(Table):
    """Some rows of a table. Numbers are read once, for the whole."""

    def __init__(self, whole, at):
        self.name = whole.name
        self.header = whole.header
        self._whole = whole
        self._at = at
        self._numbers = {}
        self._varies = {}

    def _part(self, at):
        return _Part(self._whole, self._at[at])  # its columns are at hand, ours are not

    @cached_property
    def curves(self):
        return [self._whole.curves[at] for at in self._at.tolist()]

    @cached_property
    def _columns(self):
        return {column: self.text(column) for column in self.header}

    def __len__(self):
        return len(self._at)

    def __contains__(self, column):
        return column in self.header

    def text(self, column):
        whole = self._whole.text(column)
        return tuple([whole[at] for at in self._at.tolist()])

    def one(self, column):
        return self._whole.text(column)[self._at[0]]

    def numbers(self, column):
        return self._whole.numbers(column)[self._at]
