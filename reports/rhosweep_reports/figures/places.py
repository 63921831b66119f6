"""Where words go in a picture, by rule: at the ends of lines, and where nothing is drawn.

What goes where nothing is drawn is placed when the layout is settled: see __init__.py.
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.font_manager import FontProperties

from .. import style
from ..text import mathtext

CELL = 3.0  # pixels: a side of the squares in which room is looked for
MARGIN = 6.0  # pixels that stay free around words


def spread(values, gap):
    """Ascending values moved as little as may be (least squares) so that neighbours are at least
    `gap` apart."""
    blocks = []  # (sum, count) of values that stick together, each less its place times gap
    for place, value in enumerate(values):
        blocks.append((value - place * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            (total, count), (more, n) = blocks[-2:]
            blocks[-2:] = [(total + more, count + n)]
    flat = [total / count for total, count in blocks for _ in range(count)]
    return [value + place * gap for place, value in enumerate(flat)]


def name_ends(axes, ends, size="x-small"):
    """Words beside the right end of the axes: [(y, text, {keywords of the text})], each at its height
    as far as there is room, with a stroke to it. Call it when the limits are final."""
    scale = axes.yaxis.get_transform()
    low, high = scale.transform(axes.get_ylim())
    line = 1.25 * FontProperties(size=size).get_size_in_points() / 72.0
    gap = line / (0.8 * axes.figure.get_figheight() * axes.get_position().height) * (high - low)
    ordered = sorted(ends, key=lambda end: end[0])
    places = spread([float(scale.transform(value)) for value, *_ in ordered], gap)
    for (value, words, look), place in zip(ordered, places, strict=True):
        axes.annotate(
            words, (1.0, value), (1.03, (place - low) / (high - low)), xycoords=("axes fraction", "data"),
            textcoords="axes fraction", va="center", fontsize=size, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look.get("color", style.REFERENCE),
                        "linewidth": style.stroke(0.5), "shrinkA": 1, "shrinkB": 0, "relpos": (0.0, 0.5)},
            **look)


def _dense(points, closed_by=CELL):
    """Points of a polyline, and more between them."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return points
    steps = np.maximum(1, np.ceil(np.abs(np.diff(points, axis=0)).max(axis=1) / closed_by)).astype(int)
    parts = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(points, points[1:], steps, strict=False)]
    return np.concatenate([*parts, points[-1:]])


def _drawn_points(axes):
    """(pixels, half width) of everything thin that is drawn."""
    inch = axes.figure.dpi / 72.0
    for line in axes.lines:
        pixels = line.get_transform().transform(np.asarray(line.get_xydata(), float))
        marked = line.get_marker() not in (None, "None", "", " ")
        if line.get_linestyle() != "None":
            yield _dense(pixels), 0.5 * inch * line.get_linewidth()
        if marked:
            yield pixels[np.isfinite(pixels).all(axis=1)], 0.5 * inch * line.get_markersize()
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            for segment in collection.get_segments():
                yield _dense(collection.get_transform().transform(segment)), inch


def _occupied(axes, view):
    """Which squares of the view are taken."""
    shape = tuple(int(length // CELL) for length in (view.height, view.width))
    taken = np.zeros(shape, bool)

    def take(x0, y0, x1, y1):
        """A box in squares."""
        taken[max(0, int(y0)):max(0, int(np.ceil(y1))), max(0, int(x0)):max(0, int(np.ceil(x1)))] = True

    for points, half in _drawn_points(axes):
        for x, y in (points - (view.x0, view.y0)) / CELL:
            take(x - half / CELL, y - half / CELL, x + half / CELL + 1e-9, y + half / CELL + 1e-9)
    boxes = [text.get_window_extent() for text in axes.texts]
    boxes += [child.get_tightbbox() for child in axes.child_axes]
    for box in boxes:
        take((box.x0 - view.x0) / CELL, (box.y0 - view.y0) / CELL, (box.x1 - view.x0) / CELL,
             (box.y1 - view.y0) / CELL)
    return taken


def _free_corner(taken, height, width, near):
    """The lower left square of the free box whose middle is nearest to a place in the view's
    fractions; None where no box is free."""
    rows, columns = taken.shape
    if height > rows or width > columns:
        return None
    sums = np.zeros((rows + 1, columns + 1), int)
    sums[1:, 1:] = taken.cumsum(axis=0).cumsum(axis=1)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.nonzero(inside == 0)
    if not len(y):
        return None
    far = np.hypot((x + width / 2) / columns - near[0], (y + height / 2) / rows - near[1])
    at = far.argmin()
    return y[at], x[at]


def write_where_free(axes, words, near, within=None, **look):
    """Writes words where they cover nothing thin, as near as may be to a place in fractions of the
    axes; `within` is (low, high) of y that they stay between. Returns the text, or None where there is no
    room: what they say must be told elsewhere too."""
    text = axes.text(0.0, 0.0, mathtext(words), parse_math=True, ha="left", va="bottom", **look)
    box = text.get_window_extent()
    text.remove()
    view = axes.get_window_extent()
    taken = _occupied(axes, view)
    if within:
        low, high = sorted(axes.transData.transform([(0.0, value) for value in within])[:, 1])
        edges = np.arange(len(taken)) * CELL + view.y0
        taken[(edges < low) | (edges + CELL > high)] = True
    height, width = (int(np.ceil((length + 2 * MARGIN) / CELL)) for length in (box.height, box.width))
    corner = _free_corner(taken, height, width, near)
    if corner is None:
        return None
    y, x = (place * CELL + start + MARGIN for place, start in zip(corner, (view.y0, view.x0), strict=True))
    place = axes.transAxes.inverted().transform((x, y))
    return axes.text(*place, words, transform=axes.transAxes, ha="left", va="bottom", **look)


