"""Figures as the page has them: smaller, and the same to the eye."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

inline_svg = pytest.importorskip("rhosweep_reports.inline_svg")

HEAD = ('<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" '
        'height="9pt" viewBox="0 0 9 9">')


def inline(body, shapes=None):
    shapes = shapes or inline_svg.Shapes()
    return shapes.inline(HEAD + body + "</svg>", "a figure"), shapes.definitions()


def places(path):
    """The corners of a path in relative coordinates."""
    at, found = np.zeros(2), []
    for letter, text in re.findall("([mlz])([^mlz]*)", path):
        values = [float(value) for value in re.findall(r"-?\d*\.?\d+", text)]
        for step in np.reshape(values, (-1, 2)):
            at = at + step
            found.append(tuple(at.round(2)))
    return found


@pytest.mark.parametrize(("path", "corners"), [
    ("M 0.5 -0.25 L 3 4.125 L 3 0 z", [(0.5, -0.25), (3.0, 4.12), (3.0, 0.0)]),
    ("M 0 0 L 1 0.001 L 2 0 L 3 0.002 L 4 0 L 4 4", [(0, 0), (4, 0), (4, 4)]),
    ("M 0 0 L 1 0.04 L 2 0", [(0, 0), (1, 0.04), (2, 0)]),
    ("M 1 1 L 2 2 M 5 5 L 6 5.5 L 7 7", [(1, 1), (2, 2), (5, 5), (6, 5.5), (7, 7)]),
])
def test_paths_keep_their_corners(path, corners):
    assert places(inline_svg.compact_path(path)) == corners


def test_a_long_curve_moves_by_less_than_the_tolerance():
    x = np.linspace(0.0, 300.0, 600)
    y = 50.0 * np.sin(x / 40.0)
    path = "M " + " L ".join(f"{a} {b}" for a, b in zip(x, y, strict=True))
    kept = np.array(places(inline_svg.compact_path(path)))
    assert len(kept) < 120
    back = np.interp(x, kept[:, 0], kept[:, 1])
    assert np.abs(back - y).max() < 2 * inline_svg.TOLERANCE  # upwards, not across


def test_what_comes_again_is_there_once():
    letters = ('<g transform="translate(1 2)"><defs><path id="A-1" d="M 0 0 L 50 60 z"/></defs>'
               '<use xlink:href="#A-1"/><use xlink:href="#A-1" transform="translate(63.6 0)"/></g>')
    shapes = inline_svg.Shapes()
    first, _ = inline(letters, shapes)
    second, definitions = inline(letters.replace("A-1", "B-7"), shapes)
    assert first == second and first.count("<use") == 1
    assert definitions.count("<path") == 1 and "A-1" not in first + definitions


def test_clips_that_come_later_are_found():
    shown, definitions = inline('<path d="M 0 0 L 1 1" clip-path="url(#late)"/><defs><clipPath id="late">'
                                '<rect x="0" y="0" width="1" height="1"/></clipPath></defs>')
    (name,) = re.findall(r"url\(#(\w+)\)", shown)
    assert f'<clipPath id="{name}">' in definitions


def test_opacity_stays_with_each_element():
    """As one of the group it would not add up where elements overlap."""
    for style, of_group in (("opacity: 0.5; fill: #f00", False), ("fill-opacity: 0.5", True)):
        one = f'<path d="M 0 0 L 1 1" style="{style}"/>'
        shown = ElementTree.fromstring(inline(f'<g clip-path="url(#c)">{one}{one}</g>')[0])
        assert ("class" in shown[0].attrib) == of_group


def test_figures_of_a_report_refer_to_nothing_that_is_not_there(report):
    page = (report / "index.html").read_text()
    wanted = {*re.findall(r'href="#(s[0-9a-f]+)"', page), *re.findall(r"url\(#(\w+)\)", page)}
    assert len(wanted) > 50
    assert wanted <= {*re.findall(r' id="(s[0-9a-f]+)"', page)}
    classes = {*re.findall(r' class="(k[0-9a-f]+)"', page)}
    assert classes and classes <= {*re.findall(r"\.(k[0-9a-f]+)\{", page)}
    identities = re.findall(r' id="([^"]*)"', page)
    assert len(identities) == len({*identities})
