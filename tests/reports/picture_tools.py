"""Draws figures for tests, and measures what stands in them."""

import numpy as np
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from rhosweep_reports import pictures
from rhosweep_reports.figures.drawing import Absent
from rhosweep_reports.style import Look


def draw(picture, look=Look()):
    """The figure with its layout made; None where the picture is absent."""
    try:
        return pictures.drawn(picture, look).figure
    except Absent:
        return None


def overlap(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def undrawn_ticks(axes):
    """Labels of ticks outside the view, which matplotlib keeps but does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_transform().transform(axis.get_view_interval()))
        places = axis.get_transform().transform(axis.get_ticklocs())
        labels = axis.get_ticklabels()  # none where axes below name the same places
        for place, label in zip(places, labels, strict=True) if labels else ():
            if not low - 1e-9 <= place <= high + 1e-9:
                yield label


def box_of(text):
    """Of an annotation without its arrow, which is where it belongs once it was measured with it."""
    text.get_window_extent()
    return Text.get_window_extent(text)


def axes_of(figure):
    """Those within others too."""
    return [one for axes in figure.axes for one in (axes, *axes.child_axes)]


def names_of(figure):
    """(text, box) of all that is written."""
    undrawn = {label for axes in axes_of(figure) for label in undrawn_ticks(axes)}
    return [(text.get_text(), box_of(text))
            for text in set(figure.findobj(Text)) - undrawn
            if text.get_visible() and text.get_text().strip()]


def marks_of(axes):
    """Boxes of the marks of all lines that are in view."""
    for line in axes.lines:
        if line.get_marker() in (None, "None", "", " "):
            continue
        size = line.get_markersize() + line.get_markeredgewidth()
        half = 0.5 * size * axes.figure.dpi / 72.0
        for x, y in line.get_transform().transform(np.asarray(line.get_xydata(), float)):
            if axes.bbox.contains(x, y):  # which NaN is not
                yield Bbox.from_extents(x - half, y - half, x + half, y + half)


def lines_of(axes):
    """(path, view) of all lines in pixels."""
    for line in axes.lines:
        if line.get_linestyle() != "None":
            yield line.get_path().transformed(line.get_transform()).cleaned(remove_nans=True), axes.bbox


def leaders_of(figure):
    """(words, stroke in pixels) of what names something with a stroke to it."""
    for text in figure.findobj(Annotation):
        if text.arrow_patch is not None:
            text.get_window_extent()
            patch = text.arrow_patch
            yield text.get_text(), patch.get_path().transformed(patch.get_transform())


def crosses(line, view, box):
    """Whether a line is seen within a box."""
    seen = Bbox.intersection(box, view)
    return seen is not None and line.intersects_bbox(seen, filled=False)


def assert_readable(figure, about):
    """Nothing is clipped; no name covers another, a mark, a line, a leader or a line of the frame."""
    names = names_of(figure)
    lines = [line for axes in axes_of(figure) for line in lines_of(axes)]
    marks = [mark for axes in axes_of(figure) for mark in marks_of(axes)]
    leaders = list(leaders_of(figure))
    for at, (name, box) in enumerate(names):
        for other, leader in leaders:
            assert other == name or not leader.intersects_bbox(box.padded(-1.0), filled=False), \
                (about, name, "the leader of", other)
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, (about, name)
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, (about, name)
        for other, another in names[at + 1:]:
            assert not overlap(box, another), (about, name, other)
        assert not any(overlap(box, mark) for mark in marks), (about, name, "a mark")
        assert not any(crosses(*line, box) for line in lines), (about, name, "a line")
        for axes in axes_of(figure):
            view = axes.get_window_extent()
            within = view.padded(1.0).containsx(box.x0) and view.padded(1.0).containsx(box.x1) \
                and view.padded(1.0).containsy(box.y0) and view.padded(1.0).containsy(box.y1)
            assert within or not overlap(box, view.padded(-1.0)), (about, name, "the frame")
