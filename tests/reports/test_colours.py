"""Colours mean the same in grey, to eyes that lack a kind of cone, and on a tinted ground."""

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")
style = pytest.importorskip("rhosweep_reports.style")
from colour_tools import EYES, contrast, difference, lab, linear, over_white  # noqa: E402
from rhosweep_reports.figures import bench  # noqa: E402

MEANINGS = {"vanish": style.VANISH, "explode": style.EXPLODE, "theory": style.THEORY,
            "measured": style.MEASURED}
LETTERS = {"vanish": style.VANISH_TEXT, "explode": style.EXPLODE_TEXT, "theory": style.THEORY_TEXT,
           "reference": style.REFERENCE}
GROUNDS = {"white": "white", "vanish": over_white(style.VANISH, 0.07), "explode": over_white(style.EXPLODE, 0.10)}


def test_the_measures_are_those_of_the_standards():
    assert contrast("black", "white") == pytest.approx(21.0)
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)  # the usual example
    assert lab("white") == pytest.approx([100.0, 0.0, 0.0], abs=0.02)
    assert lab("red") == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    assert linear("#808080")[0] == pytest.approx(0.2159, abs=1e-4)


@pytest.mark.parametrize(("eyes", "one", "other"), [
    ("protanopia", "#B43C00", "#5F5F00"), ("deuteranopia", "#C83C50", "#7D6E50"),
    ("tritanopia", "#0078B4", "#008787")])
def test_without_a_cone_some_colours_are_alike(eyes, one, other):
    assert difference(one, other, eyes) < 0.5 * difference(one, other, "all cones")


@pytest.mark.parametrize("eyes", EYES)
def test_meanings_are_told_apart(eyes):
    for one, other in itertools.combinations(MEANINGS, 2):
        assert difference(MEANINGS[one], MEANINGS[other], eyes) > 15, (one, other)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("meaning", LETTERS)
def test_letters_can_be_read(meaning, ground):
    assert contrast(LETTERS[meaning], GROUNDS[ground]) > 4.5


@pytest.mark.parametrize("colour", style.SERIES)
def test_lines_can_be_seen(colour):
    assert contrast(colour, "white") > 2.0


@pytest.mark.parametrize("body", bench.BODIES)
def test_marks_of_programs_can_be_seen(body):
    assert contrast(bench.BODIES[body].colour, "white") > 3.0


@pytest.mark.parametrize("ground", GROUNDS)
def test_lines_of_radii_can_be_seen(ground):
    for at in np.linspace(0.0, 1.0, 21):
        assert contrast(style.RADIUS(at), GROUNDS[ground]) > 3.0


@pytest.mark.parametrize("eyes", EYES)
def test_radii_become_lighter(eyes):
    lightness = [lab(style.RADIUS(at), eyes)[0] for at in np.linspace(0.0, 1.0, 21)]
    assert np.all(np.diff(lightness) > 0.0)


@pytest.mark.parametrize("eyes", EYES)
def test_gradients_that_vanish_and_explode_are_dark_and_unlike(eyes):
    """Lightest where nothing changes, and darker the more does."""
    lightness = np.array([lab(style.DIVERGING(at), eyes)[0] for at in np.linspace(0.0, 1.0, 21)])
    assert np.all(np.diff(lightness[:11]) > 0.0) and np.all(np.diff(lightness[10:]) < 0.0)
    for away in (0.1, 0.25, 0.5):
        assert difference(style.DIVERGING(0.5 - away), style.DIVERGING(0.5 + away), eyes) > 15


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_sizes_are_told_apart_in_grey(count):
    lightness = [lab(grey)[0] for grey in style.size_greys(count)]
    assert np.all(np.diff(lightness) < -10.0)
    assert contrast(style.size_greys(count)[0], "white") > 2.0
