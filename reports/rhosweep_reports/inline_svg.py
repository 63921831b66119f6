"""Figures inside the page: SVG as matplotlib writes it, without the bytes that no reader sees.

Letters, words, marks, clips and styles come again and again: each is in the page once, and figures
refer to it. Lines lose the points that move them by less than can be seen.
"""

import re
from functools import lru_cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

TOLERANCE = 0.03  # points of 1/72 inch by which a line may move: a tenth of the thinnest
_DIGITS = 2
_REFERENCE = re.compile(r"#([\w.-]+)")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_COMMAND = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_NAME = re.compile(r"\{[^}]*\}")  # of a namespace


def _short(value):
    """A number in few letters: 0.50 is .5"""
    text = f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".")
    if text in ("-0", ""):
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _joined(values):
    """Numbers one after the other; a sign parts them as well as a blank."""
    text = ""
    for value in map(_short, values):
        text += value if not text or value.startswith("-") else " " + value
    return text


def _fewer_digits(found):
    """Factors of a scale are small, and keep more digits."""
    value = float(found[0])
    return f"{value:.4g}" if abs(value) < 1.0 else _short(value)


# --- paths ----------------------------------------------------------------------------------------

def _needed(points):
    """Which points of a line keep it within the tolerance (Ramer, Douglas and Peucker)."""
    kept = np.zeros(len(points), bool)
    kept[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along, away = points[last] - points[first], points[first + 1:last] - points[first]
        length = np.hypot(*along)
        distance = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / length if length > TOLERANCE \
            else np.hypot(*away.T)
        farthest = int(distance.argmax())
        if distance[farthest] > TOLERANCE:
            middle = first + 1 + farthest
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return kept


def _simplified(steps):
    """(letter, points) of a path without the points that cannot be seen."""
    run = []
    for letter, points in [*steps, ("", ())]:
        if letter == "L" or (letter == "M" and not run):
            run.append((letter, points))
            continue
        if len(run) > 2:
            kept = _needed(np.array([points[0] for _, points in run]))
            run = [step for step, keep in zip(run, kept, strict=True) if keep]
        yield from run
        run = []
        if letter == "M":
            run.append((letter, points))
        elif letter:
            yield letter, points


def _steps(path):
    for letter, text in _COMMAND.findall(path):
        values = np.array(text.split(), float)
        yield letter, values.reshape(-1, 2)


@lru_cache(maxsize=1000)  # letters come in every figure
def compact_path(path, simplify=True):
    """The same line in relative coordinates, which are short."""
    steps = list(_steps(path))
    text, at, start, before = "", np.zeros(2), np.zeros(2), ""
    for letter, points in _simplified(steps) if simplify else steps:
        points = np.round(points, _DIGITS)
        if letter in "zZ":
            text, at, before = text + "z", start, "z"
            continue
        moves = _joined((points - at).ravel().tolist())
        glue = " " if letter == before == "L" and not moves.startswith("-") else ""
        text += glue + moves if letter == before == "L" else letter.lower() + moves
        at, before = points[-1], letter
        if letter == "M":
            start = at
    return text


# --- elements -------------------------------------------------------------------------------------

def _plain(element):
    """Names without namespaces: HTML knows those of SVG."""
    for one in element.iter():
        one.tag = _NAME.sub("", one.tag)
        for name in [name for name in one.attrib if name.startswith("{")]:
            one.set(_NAME.sub("", name), one.attrib.pop(name))
        one.text = one.tail = None


def _written(element):
    return ElementTree.tostring(element, encoding="unicode").replace(" />", "/>")


def _properties(style):
    pairs = (item.partition(":") for item in style.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _is_word(group):
    """Whether a group is letters beside each other, which others may repeat."""
    return group.tag == "g" and len(group) > 1 and all(
        one.tag == "use" and not {"x", "style", "class"} & one.attrib.keys() for one in group)


class Shapes:
    """What the figures of a page share."""

    def __init__(self):
        self._names = {}
        self._styles = {}
        self._see_through = set()  # names of styles

    def _named(self, content):
        """The name of an element that the page has once."""
        return self._names.setdefault(content, f"s{len(self._names):x}")

    def _classed(self, style):
        name = self._styles.setdefault(style, f"k{len(self._styles):x}")
        if "opacity" in _properties(style):
            self._see_through.add(name)
        return name

    def inline(self, svg, label):
        """The figure as an element of the page."""
        root = ElementTree.fromstring(svg)
        _plain(root)
        known = {}
        for definitions in root.iter("defs"):  # clips come after what they cut
            for one in definitions:
                self._define(one, known)
        shown = Element("svg", {"viewBox": root.get("viewBox"), "role": "img", "aria-label": label})
        shown.extend(part for child in root for part in self._kept(child, known))
        return _written(shown)

    def _kept(self, element, known):
        """What becomes of an element: itself, its children, or nothing."""
        if element.tag in ("defs", "metadata"):
            return []
        self._shorten(element, known)
        children = [part for child in element for part in self._kept(child, known)]
        element[:] = children
        element.attrib.pop("id", None)  # other figures have the same
        if element.tag != "g":
            return [element]
        self._gather_style(element)
        if _is_word(element) and "transform" in element.attrib:
            return [self._word(element)]
        if not element.attrib:
            return children
        return [element] if children else []

    def _define(self, element, known):
        """Notes the name that the page has for something to refer to."""
        if element.tag == "style":
            return  # page.css has it
        name = element.attrib.pop("id")
        self._shorten(element, known)
        for one in element:
            self._shorten(one, known)
        known[name] = self._named(_written(element))

    def _word(self, group):
        place = group.attrib.pop("transform")
        return Element("use", {"href": "#" + self._named(_written(group)), "transform": place})

    def _shorten(self, element, known):
        for name, value in element.attrib.items():
            if value.startswith("data:"):
                continue
            if name == "d":
                # Letters are drawn at a hundredth of their size.
                value = compact_path(value, simplify="transform" not in element.attrib)
            else:
                value = _NUMBER.sub(_fewer_digits, value)
            element.set(name, _REFERENCE.sub(lambda found: "#" + known.get(found[1], found[1]), value))
        if style := element.attrib.pop("style", None):
            element.set("class", self._classed(style))

    def _gather_style(self, group):
        """A style of all children, as that of the group; but for the opacity, which a group has as one."""
        styles = {one.get("class") for one in group}
        if len(group) < 2 or len(styles) > 1 or "class" in group.attrib:
            return
        if styles & {None, *self._see_through}:
            return
        group.set("class", styles.pop())
        for one in group:
            del one.attrib["class"]

    def definitions(self):
        """What the figures refer to: before them in the page."""
        shapes = "".join(re.sub(r"^<(\w+)", rf'<\1 id="{name}"', content, count=1)
                         for content, name in self._names.items())
        styles = "".join(f".{name}{{{_css(style)}}}" for style, name in self._styles.items())
        return (f'<svg id="shapes" width="0" height="0" aria-hidden="true"><style>{styles}</style>'
                f"<defs>{shapes}</defs></svg>")


def _css(style):
    return ";".join(f"{name}:{value}" for name, value in _properties(style).items())
