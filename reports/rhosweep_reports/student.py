"""Means with their 95% intervals, as the program's decay table has them (Student's t)."""

import math
from functools import lru_cache

import numpy as np

LEVEL = 0.95
_BISECTIONS = 100  # more than a double has bits


def _within(t, freedom):
    """The probability of (-t, t): Abramowitz & Stegun 1964, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (k - 1) / k
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total


@lru_cache
def quantile(freedom):
    """The t that so many degrees of freedom stay within at the level, in both directions."""
    low, high = 0.0, 13.0  # 12.71 of one degree of freedom
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _within(middle, freedom) < LEVEL else (low, middle)
    return low


def interval(values):
    """Mean of the finite values and half its interval, which is NaN for fewer than two; both NaN for
    none."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return (known[0] if len(known) else np.nan), np.nan
    return known.mean(), quantile(len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
