"""Networks of several kinds in one picture: cells, ensembles and imported weights, by name; and the points
at which each turns from vanishing to exploding, of the table critical."""

import math

import numpy as np

from .. import findings
from ..rounding import between
from ..table import CELL, NETWORK
from ..text import math as formula
from .drawing import SYMBOL

KIND = (*CELL, "ensemble", "model", "model_digest")
OTHERS = tuple(column for column in NETWORK if column not in (*KIND, "hidden"))


def kinds(table):
    """A part for each kind, with its name."""
    return [(name(part, table), part) for part in findings.variants(table, KIND)]


def name(part, whole):
    """What sets a kind apart from the others of `whole`."""
    weights = part.one("model") or part.one("ensemble")
    told = [findings.cell(part) if whole.varies("cell") else "",
            weights if whole.varies("ensemble") or whole.varies("model") else "",
            findings.settings_of(part, whole)]
    alone = told == ["", weights, ""] and not part.one("model")
    return weights.capitalize() if alone else ", ".join(filter(None, told)) or findings.kind(part)


def sizes(table):
    return sorted({int(cell) for cell in table.text("hidden")})


def critical_points(critical, x):
    """Value and interval of each row; an end that the swept radii do not bound is infinite."""
    value, low, high = (critical.numbers(f"{x}_critical{end}") for end in ("", "_ci95_low", "_ci95_high"))
    return value, np.where(low == 0.0, -np.inf, low), high


def told(x, value, low, high):
    """The critical point as words."""
    if math.isnan(value):
        return "no " + formula(SYMBOL[x])
    return formula(f"{SYMBOL[x]}={between(value, low, high).whole(value)}")
