"""What makes letters fast. For each picture matplotlib reads whole fonts, and every formula as often as it
is measured or drawn; here a process reads fonts once, and formulas once for each size."""

import io
from functools import cache

from fontTools import subset
from matplotlib.backends import _backend_pdf_ps
from matplotlib.mathtext import MathTextParser

# What reports write: Latin, Greek, punctuation, superscripts, arrows and signs of formulas.
_COMMON = frozenset((*range(0x20, 0x250), *range(0x370, 0x400), *range(0x2000, 0x2300)))
# A PDF places every letter itself. The others are of the font's makers.
_NOT_NEEDED = ("GDEF", "GPOS", "GSUB", "kern", "FFTM", "PfEd", "BDF", "meta")

_whole = _backend_pdf_ps.get_glyphs_subset


def _cut(font, letters):
    """The font with these letters alone, open."""
    options = subset.Options(glyph_names=True, recommended_glyphs=True)
    options.drop_tables += _NOT_NEEDED
    whole = subset.load_font(font, options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=letters)
    cutter.subset(whole)
    return whole


@cache
def _common(path):
    with _cut(path, _COMMON) as font:
        return _backend_pdf_ps.font_as_file(font).getvalue()


def _of_letters(path, letters):
    """In place of matplotlib's function of the same arguments; the caller closes the font."""
    used = [*map(ord, letters)]
    if path.endswith(".ttc") or not _COMMON.issuperset(used):
        return _whole(path, letters)
    return _cut(io.BytesIO(_common(path)), used)


def read_once():
    """From now on, in this process."""
    _backend_pdf_ps.get_glyphs_subset = _of_letters
    # One for each kind of file: what it has read goes with it.
    MathTextParser.__new__ = cache(lambda cls, _output: object.__new__(cls))
