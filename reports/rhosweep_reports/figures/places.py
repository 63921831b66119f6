"""Where words go in a picture, by rule: at the ends of lines, and where nothing is drawn.

What goes where nothing is drawn is placed when the layout is settled: see __init__.py.
"""

import numpy as np
from matplotlib import rcParams
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.contour import ContourSet
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from .. import style
from ..text import has_math, mathtext

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
    as far as there is room, with a stroke to it, which begins at `x` of the keywords, or at the end of the
    axes. Call it when the limits are final."""
    scale = axes.yaxis.get_transform()
    low, high = scale.transform(axes.get_ylim())
    line = 1.25 / 72.0 * max((FontProperties(size=look.get("fontsize", size)).get_size_in_points()
                              for *_, look in ends), default=0.0)
    gap = line / (0.8 * axes.figure.get_figheight() * axes.get_position().height) * (high - low)
    ordered = sorted(ends, key=lambda end: end[0])
    places = spread([float(scale.transform(value)) for value, *_ in ordered], gap)
    for (value, words, look), place in zip(ordered, places, strict=True):
        look = dict(look)
        last = look.pop("x", None)
        begin, of = (1.0, "axes fraction") if last is None else (last, "data")
        stroke = {"color": look.get("color", style.REFERENCE), "shrinkB": 0} if last is None else \
            {"color": style.LEADER, "shrinkB": 2}
        axes.annotate(
            words, (begin, value), (1.03, (place - low) / (high - low)), xycoords=(of, "data"),
            textcoords="axes fraction", va="center", annotation_clip=False,
            arrowprops=stroke | {"arrowstyle": "-", "linewidth": style.stroke(0.5), "shrinkA": 1,
                                 "relpos": (0.0, 0.5)},
            **{"fontsize": size} | look)


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
            lines = (path.vertices for path in collection.get_paths())  # also of intervals of no number
            pixels = map(collection.get_transform().transform, lines)
            yield np.concatenate([np.empty((0, 2)), *map(_dense, pixels)]), inch
        elif isinstance(collection, ContourSet):
            for path in collection.get_paths():
                for line in path.to_polygons(collection.get_transform(), closed_only=False):
                    yield _dense(line), inch
        elif isinstance(collection, PolyCollection):  # a band: its outline
            for path in collection.get_paths():
                yield _dense(collection.get_transform().transform(path.vertices)), inch


def _extent(text):
    """Box and stroke of a text, also before its formulas are set."""
    words, parsed = text.get_text(), text.get_parse_math()
    text.set(text=mathtext(words) if has_math(words) else words, parse_math=parsed or has_math(words))
    text.get_window_extent()  # puts an annotation where it belongs
    box = Text.get_window_extent(text)
    stroke = getattr(text, "arrow_patch", None)
    line = stroke.get_path().vertices if stroke else np.empty((0, 2))
    text.set(text=words, parse_math=parsed)
    return box, line


def _take(taken, low, high):
    """Boxes from `low` to `high` (x, y) in squares, all of much the same size."""
    first = np.floor(low).astype(int)
    last = np.maximum(first, np.ceil(high).astype(int) - 1)
    for dx, dy in np.ndindex(*((last - first).max(axis=0) + 1)):
        x, y = np.minimum(first + (dx, dy), last).T
        seen = (x >= 0) & (y >= 0) & (x < taken.shape[1]) & (y < taken.shape[0])
        taken[y[seen], x[seen]] = True


CROSSED = 12.0  # what a square counts that is crossed by the stroke of words
COVERED = 1000.0  # the same, of words
BESIDE = 2  # squares around words that a stroke keeps off


def _occupied(axes, view):
    """Which squares of the view are taken, and what each counts where a stroke crosses it."""
    taken = np.zeros([int(length // CELL) for length in (view.height, view.width)], bool)
    written = [_extent(text) for text in axes.texts]
    for points, half in [*_drawn_points(axes), *((_dense(stroke), 1.0) for _, stroke in written)]:
        if len(points):
            _take(taken, (points - half - view.p0) / CELL, (points + half - view.p0) / CELL)
    cost = CROSSED * taken
    for box in [*(box for box, _ in written), *(child.get_tightbbox() for child in axes.child_axes)]:
        low, high = np.floor((box.p0 - view.p0) / CELL), np.ceil((box.p1 - view.p0) / CELL)
        (x, y), (right, top) = np.maximum(0, [low, high]).astype(int)
        taken[y:top, x:right] = True
        cost[max(0, y - BESIDE):top + BESIDE, max(0, x - BESIDE):right + BESIDE] = COVERED
    return taken, cost


def _free_corners(taken, height, width):
    """The lower left squares (rows, columns) of all free boxes of a size."""
    rows, columns = taken.shape
    if height > rows or width > columns:
        return np.empty((2, 0), int)
    sums = np.zeros((rows + 1, columns + 1), int)
    sums[1:, 1:] = taken.cumsum(axis=0).cumsum(axis=1)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return np.array(np.nonzero(inside == 0))


def _beyond(start, length, place):
    """How far a place is outside of [start, start + length]."""
    return np.maximum(0, np.maximum(start - place, place - start - length))


NEAR = 0.35  # what a square away from `near` counts beside one of the stroke
AT_THE_END = 4.0  # squares around what a stroke leads to, where it crosses nothing else
TOO_SHORT = 3.0  # what a square counts that a stroke is shorter than can be seen
NEAREST = 2000  # boxes whose strokes are looked at


def _shortest():
    """Of a stroke, in squares."""
    return 0.8 * rcParams["font.size"] * rcParams["figure.dpi"] / 72.0 / CELL


def _crossings(cost, edges, to):
    """What the strokes from the edges of boxes to `to` count for the squares that they cross."""
    part = np.linspace(0.0, 1.0, 120)[:, None, None]
    points = to + part * (edges - to)
    x, y = np.floor(points).astype(int).transpose(2, 0, 1)
    seen = (x >= 0) & (y >= 0) & (x < cost.shape[1]) & (y < cost.shape[0])
    seen &= np.hypot(*(points - to).transpose(2, 0, 1)) > AT_THE_END
    length = np.hypot(*(edges - to).T) / len(part)
    return length * (seen * cost[np.where(seen, y, 0), np.where(seen, x, 0)]).sum(axis=0)


def _best_corner(taken, cost, height, width, near, to):
    """Of all free boxes, the one whose middle is nearest to `near`, and whose edge to `to`, both in
    squares, with a stroke that crosses little; None where no box is free."""
    y, x = _free_corners(taken, height, width)
    if not len(y):
        return None
    far = NEAR * np.hypot(x + width / 2 - near[0], y + height / 2 - near[1])
    if to is not None:
        away = np.hypot(_beyond(x, width, to[0]), _beyond(y, height, to[1]))
        far += away + TOO_SHORT * np.maximum(0.0, _shortest() - away)
        first = np.argsort(far, kind="stable")[:NEAREST]
        x, y, far = x[first], y[first], far[first]
        edges = np.column_stack([np.clip(to[0], x, x + width), np.clip(to[1], y, y + height)])
        far = far + _crossings(cost, edges, to)
    at = far.argmin()
    return np.array([x[at], y[at]])


def _size(axes, words, look):
    """Width and height in pixels."""
    text = axes.text(0.0, 0.0, mathtext(words), parse_math=True, **look)
    box = text.get_window_extent()
    text.remove()
    return np.array([box.width, box.height])


def _forbid_elsewhere(taken, axes, view, where):
    rows, columns = (np.arange(length) + 0.5 for length in taken.shape)
    x, y = np.meshgrid(view.x0 + CELL * columns, view.y0 + CELL * rows)
    data = axes.transData.inverted().transform(np.column_stack([x.ravel(), y.ravel()]))
    taken[~where(*data.T).reshape(taken.shape)] = True


def write_where_free(axes, words, near, within=None, to=None, where=None, **look):
    """Writes words where they cover nothing thin, as near as may be to a place in fractions of the
    axes; `within` is (low, high) of y that they stay between, `where` tells of x and y (arrays) whether
    they may be there, `to` is a point of the data to which a stroke leads. Returns the text, or None where
    there is no room: what they say must be told elsewhere too."""
    view = axes.get_window_extent()
    taken, cost = _occupied(axes, view)
    if within:
        low, high = within
        _forbid_elsewhere(taken, axes, view, lambda _x, y: (low <= y) & (y <= high))
    if where:
        _forbid_elsewhere(taken, axes, view, where)
    size = _size(axes, words, look)
    width, height = np.ceil((size + 2 * MARGIN) / CELL).astype(int)
    near = np.multiply(near, (view.width, view.height)) / CELL
    target = axes.transData.transform(to) if to is not None else None
    corner = _best_corner(taken, cost, height, width, near,
                          None if to is None else (target - view.p0) / CELL)
    if corner is None:
        return None
    pixels = corner * CELL + view.p0 + MARGIN
    place = axes.transAxes.inverted().transform(pixels)
    if to is None:
        return axes.text(*place, words, transform=axes.transAxes, ha="left", va="bottom", **look)
    stroke = {"arrowstyle": "-", "color": look.get("color", "black"), "linewidth": style.stroke(0.5),
              "shrinkA": 0, "shrinkB": 2, "relpos": np.clip((target - pixels) / size, 0.0, 1.0)}
    return axes.annotate(words, to, place, xycoords="data", textcoords="axes fraction", ha="left",
                         va="bottom", arrowprops=stroke, **look)


def fraction(axes, points):
    """Places of the data in fractions of the axes."""
    return axes.transAxes.inverted().transform(axes.transData.transform(points))


def name_line(axes, words, x, y, at, sizes=("medium", "small", "x-small"), **look):
    """Words with a stroke to a line, at this part of what is in view of it, in the first of the sizes
    that fits. Returns None where there is no room."""
    points = np.column_stack([x, y]).astype(float)
    points = points[np.isfinite(points).all(axis=1)]
    places = fraction(axes, points)
    seen = np.flatnonzero(((places >= 0.0) & (places <= 1.0)).all(axis=1))
    if not len(seen):
        return None
    middle = seen[round(at * (len(seen) - 1))]
    tries = (write_where_free(axes, words, places[middle], to=points[middle], size=size, **look)
             for size in sizes)
    return next(filter(None, tries), None)
