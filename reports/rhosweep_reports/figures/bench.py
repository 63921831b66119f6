"""Figures of speed, from the table of benchmark JSON (benchjson.py)."""

import math
from dataclasses import dataclass, replace

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogLocator

from .. import findings, style
from ..benchjson import KIND, OURS, SHAPE, STATES, WEIGHTS
from ..text import math as formula
from ..text import mathtext
from .drawing import (
    ROW,
    ROWS,
    Absent,
    evenly,
    gradient_norm,
    legend_below,
    number_axis,
    power_text,
    value_ticks,
)
from .places import name_ends

AXES = {"H": "units", "B": "samples", "R": "spectral radii"}


@dataclass(frozen=True)
class Body:
    """What was timed, for people."""

    name: str
    colour: str  # of edges and lines, which is seen on white
    norms: bool = True  # whether it computes the norms of gradients
    fill: str = ""  # where it is paler


# In the order of the bars.
BODIES = {
    "bptt/cuda": Body("Rhosweep, GPU", "#000000"),
    "bptt/cpu": Body("Rhosweep, CPU", "#595959"),
    "baseline/blas_stepwise": Body("BLAS, a product a step", "#A87000", fill="#E69F00"),
    "jax_vmap_grad": Body("JAX, vmap of grad", "#3B8FBF", fill="#A6D8F0"),
    "jax_shared_w0": Body("JAX, by hand", "#3B8FBF"),
    "bmm_hooks": Body("PyTorch, batched matmul", "#B0578D"),
    "nn_rnn_loop": Body("PyTorch nn.RNN, no norms", "#B0578D", norms=False),
    "nn_lstm_loop": Body("PyTorch nn.LSTM, no norms", "#B0578D", norms=False),
    "nn_gru_loop": Body("PyTorch nn.GRU, no norms", "#B0578D", norms=False),
    "cell_hooks": Body("PyTorch nn.RNNCell", "#B0578D", fill="#E3BCD4"),
}
# What others compute, for captions.
RIVALS = (f"All compute the norm {gradient_norm('h_t')} at every step (for an LSTM, {gradient_norm('c_t')} "
          "too), except PyTorch's "
          "nn.RNN, nn.LSTM and nn.GRU (no norms), which do not expose that gradient: theirs is the time of a "
          "forward and a backward pass. These, nn.RNNCell and JAX's vmap of grad multiply matrices once per "
          "step and radius, the others once per step for all radii. PyTorch and JAX lose gradients outside "
          "the range of their number format.")
WIDE = 2.0  # slowest over fastest run of more than that is not a time to quote
LETTERS = "#333333"
VAGUE, VAGUE_EDGE, VAGUE_TEXT = "#E6E6E6", "#B0B0B0", "#666666"
GREY = f"Grey: fastest and slowest run differ by more than a factor of {WIDE:g}; not a time to quote."


def _body(name):
    return BODIES.get(name) or Body(name.removeprefix("baseline/"), style.REFERENCE)


def _timed(bench):
    """A part for each body, without the ceilings."""
    return [part for part in bench.split(("body",)) if not part.one("body").startswith("peak/")]


def has_times(bench):
    return bool(_timed(bench))


def _threads(count):
    return f"{count} thread" + ("" if count == "1" else "s")


def _span(values):
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _in_order(cells):
    known = list(findings.CELLS)
    return sorted(cells, key=lambda cell: (known.index(cell) if cell in known else len(known), cell))


def describe(part):
    """What the rows share, in a line."""
    told = [findings.CELLS.get(cell, cell) for cell in _in_order(part.values("cell"))]
    told += part.values("precision")
    if part.values("gradients") == [WEIGHTS]:
        told.append("with the weights' gradients")
    if len(part.values("threads")) == 1:
        told.append(_threads(part.values("threads")[0]))
    runs = {int(count) for count in part.values("repetitions")}
    if max(runs) > 1:
        told.append(f"medians of {_span(runs)} runs")
    return ", ".join([*told, *part.values("device"), *sorted(part.values("library"))])


# --- a row for each time, by shape ----------------------------------------------------------------

@dataclass(frozen=True)
class Row:
    cell: str
    shape: tuple  # H, B, R, T
    body: str
    place: tuple  # device and threads
    least: float
    middle: float
    most: float

    @property
    def kind(self):
        """By which rows are told apart at a shape."""
        return self.body, self.place

    @property
    def is_vague(self):
        return self.most > WIDE * self.least


def _rows(bench, column):
    """Of all that has a value."""
    ranges = zip(*(bench.numbers(column + end) for end in ("_min", "", "_max")), strict=True)
    shapes = zip(*(bench.text(name) for name in SHAPE), strict=True)
    places = zip(bench.text("device"), bench.text("threads"), strict=True)
    told = zip(bench.text("cell"), shapes, bench.text("body"), places, ranges, strict=True)
    return [Row(cell, tuple(map(int, shape)), body, place, *values)
            for cell, shape, body, place, values in told if np.isfinite(values).all()]


def _with_most_threads(rows):
    """Of each device; the figure of threads shows the others."""
    best = {}
    for row in sorted(rows, key=lambda row: int(row.place[1] or 0)):
        best[row.cell, row.shape, row.body, row.place[0]] = row
    return list(best.values())


MOST_SHAPES = {"paper": 12, "talk": 3}  # of a cell, for which a picture has room


def _columns_and_steps(shape):
    return math.prod(shape[1:])


def share_room(look, *_wholes):
    return {"most": MOST_SHAPES[look.style]}


def _shapes(rows, most):
    """Those of a cell in descending order: of more than a picture has room for, at each H the one
    with the most columns and steps, and of these some."""
    shapes = sorted({row.shape for row in rows}, key=lambda one: (one[0], _columns_and_steps(one), one))
    if len(shapes) > most:
        shapes = list({shape[0]: shape for shape in shapes}.values())
    return evenly(shapes[::-1], most)


def _called(rows, alone="Rhosweep"):
    """Names for rows, one of each body and place: with the device and the threads where a body ran in
    several; of peers, where CPUs and GPUs were timed, with GPU. An engine of ours is called `alone` where
    it is the only one."""
    engines = {row.body for row in rows if row.body in OURS}
    mixed = len({bool(row.place[1]) for row in rows}) > 1

    def name(row):
        devices, threads = ({one.place[at] for one in rows if one.body == row.body} for at in (0, 1))
        parts = [alone if alone and engines == {row.body} else _body(row.body).name,
                 "GPU" if mixed and not row.place[1] and row.body not in OURS else "",
                 row.place[0] if len(devices) > 1 else "",
                 _threads(row.place[1]) if len(threads) > 1 else ""]
        return ", ".join(filter(None, parts))

    return [name(row) for row in rows]


def _order(row):
    known = list(BODIES)
    return known.index(row.body) if row.body in known else len(known), row.body, row.place


GAP = 0.8  # between shapes, in rows
LEAST = 2.2  # rows for the two lines that name a shape


@dataclass(frozen=True)
class Group:
    """What stands together: the rows of a shape, or the name of a cell above its shapes."""

    cell: str
    shape: tuple | None
    rows: tuple
    top: float  # of its first row, downwards
    height: float


def _groups(rows, most, height_of):
    """One below the other, cell by cell, of each at most so many shapes; `height_of` counts the rows that
    the rows of a shape take."""
    groups, top = [], 0.0

    def add(cell, shape, own, height):
        nonlocal top
        groups.append(Group(cell, shape, own, top, height))
        top += height + GAP

    cells = _in_order({row.cell for row in rows})
    for cell in cells:
        if len(cells) > 1:
            add(cell, None, (), 0.8)
        own = [row for row in rows if row.cell == cell]
        for shape in _shapes(own, most):
            here = tuple(sorted((row for row in own if row.shape == shape), key=_order))
            add(cell, shape, here, max(LEAST, height_of(here)))
    return groups


def _shape_name(shape):
    hidden, batch, radii, steps = shape
    return (f"{formula(f'H={hidden}')}, {radii} radi{'us' if radii == 1 else 'i'}\n"
            f"{formula(f'B={batch}')}, {formula(f'T={steps}')}")


SIZE = "small"  # of the words in pictures by shape
PITCH = 1.3  # height of a row in ems
SHORTEN = 2.0  # names beside bars may make these shorter by that


def _away():
    """Points between bars and words."""
    return style.stroke(3.5)


def _gaps():
    """Inches around words."""
    return 2.0 * _away() / 72.0


def _inches(axes, words, **look):
    """How wide words are."""
    text = axes.text(0.0, 0.0, mathtext(words), parse_math=True, fontsize=SIZE, **look)
    width = text.get_window_extent().width / axes.figure.dpi
    text.remove()
    return width


def _write_heads(axes, groups):
    """Names of cells and shapes left of the axes. Returns how wide they are, in inches."""
    axes.set_yticks([])
    widest = 0.0
    for group in groups:
        words, look = (_shape_name(group.shape), {}) if group.shape else \
            (findings.CELLS.get(group.cell, group.cell), {"fontweight": "bold"})
        axes.annotate(words, (0.0, group.top + 0.5 * (group.height - 1.0)), (-_away(), 0.0),
                      xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
                      va="center", fontsize=SIZE, annotation_clip=False, **look)
        widest = max(widest, _inches(axes, words, **look))
    return widest


def _frame(axes, groups, low):
    """Sets up a logarithmic axis from `low`, and the rows. Returns how wide the axes will be, in inches,
    as far as that is known before the layout is."""
    em = FontProperties(size=SIZE).get_size_in_points() / 72.0
    height = groups[-1].top + groups[-1].height
    axes.figure.set_figheight((PITCH * height + 5.5) * em)
    axes.set(xscale="log", xlim=(low, 2.0 * low), ylim=(height - 0.4, -0.6))
    return axes.figure.get_figwidth() - _write_heads(axes, groups) - 2.0 * em


def _tick(value, _position=None):
    return f"{value:,.12g}" if value < 1e6 else power_text(math.log10(value))


def _number_ticks(axes):
    number_axis(axes.xaxis)
    low, high = axes.get_xlim()
    if high > 1e3 * low:
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(_tick)


def _label(axes, words, shown, rows):
    if any(row.is_vague for row in shown):
        words += f"\ngrey: runs differ more than {WIDE:g}-fold"
    drawn, timed = (len({(row.cell, row.shape) for row in some}) for some in (shown, rows))
    if drawn < timed:
        words += f"\n{drawn} of {timed} shapes shown"
    axes.set_xlabel(words)


def _legend_of_rows(axes):
    """Below, at the cost of the figure's height: rows stay as high as their words."""
    em = FontProperties(size=rcParams["legend.fontsize"]).get_size_in_points() / 72.0
    axes.figure.set_figheight(axes.figure.get_figheight() + ROWS * ROW * em)
    legend_below(axes)


def _row_colours(row):
    """Of the edge and within: white for what computes no norms."""
    body = _body(row.body)
    if row.is_vague:
        return VAGUE_EDGE, VAGUE if body.norms else "white"
    return body.colour, (body.fill or body.colour) if body.norms else "white"


def _length(low, ends, width):
    """How long a logarithmic axis from `low` and `width` inches wide is, in e-folds, if words fit behind
    their bars: [(end of the bar, inches of the words)]; infinite where they do not fit beside any."""
    return max(math.log(end / low) / (1.0 - inches / width) if inches < width else math.inf
               for end, inches in ends)


def _bar(axes, y, row, **more):
    edge, face = _row_colours(row)
    axes.barh(y, row.middle - 1.0, left=1.0, height=0.8, facecolor=face, edgecolor=edge,
              hatch=None if _body(row.body).norms else "/////", linewidth=style.stroke(0.6), **more)


def _whisker(axes, y, row):
    if row.most > row.least:
        axes.plot((row.least, row.most), (y, y), color=style.MEASURED, linewidth=style.stroke(0.7),
                  marker="|", markersize=2.5 * style.stroke(1.0))


def _beside(axes, words, x, y, inches, **look):
    axes.annotate(words, (x, y), (72.0 * inches + _away(), 0.0), textcoords="offset points", va="center",
                  fontsize=SIZE, **look)


def _times_ours(row):
    """Three digits at least, and no exponent."""
    return (f"{row.middle:,.0f}" if row.middle >= 99.95 else f"{row.middle:#.3g}") + "×"


def _end(row):
    """Behind which words stand."""
    return max(1.0, row.most)


def _draw_bars(axes, places):
    """With whiskers and numbers. Returns how much room the numbers need."""
    for row, y in places.items():
        _bar(axes, y, row)
        _whisker(axes, y, row)
        _beside(axes, _times_ours(row), _end(row), y, 0.0,
                color=VAGUE_TEXT if row.is_vague else style.MEASURED)
    return [(_end(row), _inches(axes, _times_ours(row)) + _gaps()) for row in places]


def _with_most_room(groups):
    """Of every body and place the row in the group with the shortest bars, and the end of these."""
    best = {}
    for group in groups:
        end = max(map(_end, group.rows), default=None)
        for row in group.rows:
            if row.kind not in best or end < best[row.kind][1]:
                best[row.kind] = (row, end)
    return [best[kind] for kind in sorted(best, key=lambda kind: _order(best[kind][0]))]


def _name_in_legend(axes, known):
    for (row, _), name in known:
        _bar(axes, math.nan, replace(row, least=row.middle, most=row.middle), label=name)
    _legend_of_rows(axes)


def _name_bars(axes, groups, places, low, width):
    """Draws them with their numbers; names stand beside them, or in a legend where they would make the
    bars too short. Returns the length of the axis."""
    numbers = _draw_bars(axes, places)
    beside = max(inches for _, inches in numbers)
    most = _with_most_room(groups)
    known = list(zip(most, _called([row for row, _ in most], alone=""), strict=True))
    named = [(end, beside + _inches(axes, name) + _gaps()) for (_, end), name in known]
    least, length = _length(low, numbers, width), _length(low, numbers + named, width)
    if length > SHORTEN * least:
        _name_in_legend(axes, known)
        return least
    for (row, end), name in known:
        _beside(axes, name, end, places[row], beside, color=LETTERS)
    return length


def speedup(axes, bench, most=MOST_SHAPES["paper"]):
    rows = _with_most_threads(_rows(bench, "time_over_ours"))
    if not rows:
        raise Absent("needs an engine of ours and something to compare it with")
    groups = _groups(rows, most, len)
    places = {row: group.top + 0.5 * (group.height - len(group.rows)) + at
              for group in groups for at, row in enumerate(group.rows)}
    low = min(1.0, 0.9 * min(row.least for row in places))
    length = _name_bars(axes, groups, places, low, _frame(axes, groups, low))
    axes.axvline(1.0, color=style.MEASURED, linewidth=style.stroke(0.7))
    axes.set_xlim(low, low * math.exp(length))
    _number_ticks(axes)
    on_gpu = any(row.body == "bptt/cpu" for row in rows)
    _label(axes, "times as long as Rhosweep" + ("\non the GPU takes" if on_gpu else " takes"), places, rows)


def has_rivals(bench):
    return bool(_rows(bench, "time_over_ours"))


def _dot(axes, y, row, marker, **more):
    edge, face = _row_colours(row)
    axes.plot((row.least, row.most), (y, y), color=edge, linewidth=style.stroke(0.7))
    axes.plot(row.middle, y, marker=marker, linestyle="none", color=edge, markerfacecolor=face, zorder=2.5,
              **more)


def time(axes, bench, most=MOST_SHAPES["paper"]):
    rows = _with_most_threads(_rows(bench, "ns_per_column_step"))
    groups = _groups(rows, most, lambda _rows: LEAST)
    shown = [row for group in groups for row in group.rows]
    kinds = {row.kind: row for row in sorted(shown, key=_order)}
    names = dict(zip(kinds, _called(list(kinds.values())), strict=True))
    marks = dict(zip(kinds, style.MARKERS * len(kinds), strict=False))
    _frame(axes, groups, 0.8 * min(row.least for row in shown))
    for row in kinds.values():
        _dot(axes, math.nan, replace(row, least=row.middle, most=row.middle), marks[row.kind],
             label=names[row.kind])
    for group in groups:
        for row in group.rows:
            _dot(axes, group.top + 0.5 * (group.height - 1.0), row, marks[row.kind])
    axes.set_xlim(right=1.3 * max(row.most for row in shown))
    _number_ticks(axes)
    _label(axes, "time per column and step, ns", shown, rows)
    _legend_of_rows(axes)


# --- lines over one size --------------------------------------------------------------------------

def _lines(rows, axis):
    """Rows of one body and place that differ in the axis alone, ascending; in the order of bars."""
    at, lines = "HBRT".index(axis), {}
    for row in sorted(rows, key=lambda row: row.shape[at]):
        others = row.shape[:at] + row.shape[at + 1:]
        lines.setdefault((_order(row), others), []).append(row)
    return [lines[key] for key in sorted(lines) if len(lines[key]) > 1]


MOST_LINES = 6  # beside each other, of several shapes


def _others(row, axis):
    """The sizes that rows of a line share, by letter."""
    return {letter: size for letter, size in zip("HBRT", row.shape, strict=True) if letter != axis}


def _few(lines, axis):
    """Of more lines than there is room for those of some shapes: first of those that most bodies ran,
    then of the largest."""
    shapes = {}
    for line in lines:
        shapes.setdefault(tuple(_others(line[0], axis).values()), []).append(line)
    best = sorted(shapes, key=lambda shape: (len(shapes[shape]), math.prod(shape), shape), reverse=True)
    chosen = [best[0]]
    for shape in best[1:]:
        if sum(len(shapes[one]) for one in (*chosen, shape)) <= MOST_LINES:
            chosen.append(shape)
    return [line for line in lines if tuple(_others(line[0], axis).values()) in chosen]


def _line_names(lines, axis, alone):
    """Body and place, and the sizes by which lines differ. Returns also the sizes that all share."""
    kinds = {line[0].kind: line[0] for line in lines}
    called = dict(zip(kinds, _called(list(kinds.values()), alone), strict=True))
    others = [_others(line[0], axis) for line in lines]
    shared = {letter: size for letter, size in others[0].items()
              if all(one[letter] == size for one in others)}
    names = []
    for (row, *_), sizes in zip(lines, others, strict=True):
        own = [formula(f"{letter}={size}") for letter, size in sizes.items() if letter not in shared]
        names.append("; ".join(filter(None, (called[row.kind], ", ".join(own)))))
    return names, ", ".join(formula(f"{letter}={size}") for letter, size in shared.items())


def _value_axis(axes, values):
    """Logarithmic for values of different orders; else linear from 0, where lengths compare."""
    if max(values) > 8.0 * min(values):
        axes.set_yscale("log")
        number_axis(axes.yaxis)
    else:
        axes.set_ylim(0.0, 1.1 * max(values))


def _draw_lines(axes, lines, axis, alone="Rhosweep"):
    at = "HBRT".index(axis)
    names, shared = _line_names(shown := _few(lines, axis), axis, alone)
    for count, (line, name) in enumerate(zip(shown, names, strict=True)):
        along = [row.shape[at] for row in line]
        look = style.series(count) | {"color": _body(line[0].body).colour}
        axes.plot(along, [row.middle for row in line], label=name, markerfacecolor="white", **look)
        axes.vlines(along, [row.least for row in line], [row.most for row in line], color=look["color"],
                    linewidth=style.stroke(0.7))
    axes.set_xscale("log", base=2)
    value_ticks(axes, sorted({row.shape[at] for line in shown for row in line}))
    left_out = f"\n{len(shown)} of {len(lines)} lines shown" if len(shown) < len(lines) else ""
    axes.set_xlabel(f"{AXES[axis]} {formula(axis)}" + (f"; {shared}" if shared else "") + left_out)
    legend_below(axes)
    return shown


def _lines_over(axis, column):
    """The lines of a part."""
    return lambda bench: _lines(_with_most_threads(_rows(bench, column)), axis)


def has_times_over(axis):
    return lambda bench: bool(_lines_over(axis, "ns_per_column_step")(bench))


def has_speedups_over(axis):
    return lambda bench: bool(_lines_over(axis, "time_over_ours")(bench))


def time_over(axis):
    def draw(axes, bench):
        lines = _lines_over(axis, "ns_per_column_step")(bench)
        if not lines:
            raise Absent(f"no two shapes of one engine that differ in {axis} alone")
        shown = _draw_lines(axes, lines, axis)
        _value_axis(axes, [row.middle for line in shown for row in line])
        axes.set_ylabel("ns per column and step")
    return draw


def speedup_over(axis):
    def draw(axes, bench):
        lines = _lines_over(axis, "time_over_ours")(bench)
        if not lines:
            raise Absent(f"nothing was timed beside ours at two shapes that differ in {axis} alone")
        shown = _draw_lines(axes, lines, axis, alone="")
        axes.axhline(1.0, color=style.MEASURED, linewidth=style.stroke(0.7))
        _value_axis(axes, [1.0, *(row.middle for line in shown for row in line)])
        axes.set_ylabel("times as long as ours")
    return draw


# --- roofline -------------------------------------------------------------------------------------

FILLED = {"f32": False, "f64": True}  # marks
CELL_COLOURS = ("#000000", "#B0578D", "#E69F00")  # without gates, LSTM, GRU


def _peak(bench, bodies, column):
    """The highest ceiling of one kind; None where none was measured."""
    values = [value for name, value in zip(bench.text("body"), bench.numbers(column), strict=True)
              if name in bodies and np.isfinite(value)]
    return max(values, default=None)


def _ceilings(axes, precision, dash, compute, bandwidth, reach):
    marks = "filled" if FILLED[precision] else "open"
    axes.plot(reach, np.minimum(compute, reach * bandwidth / 1e9), color="#000000", zorder=1.7,
              linewidth=style.stroke(1.0), linestyle=dash,
              label=f"{precision} ({marks}): {compute:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s")


def _points(axes, part, looks, colour):
    """A mark for each shape. H is told by its form, for which a legend has room: beside the marks,
    which stand close where shapes share H, names would cover others. `colour` tells the cell, where
    there are several with gates or without. Returns the intensities."""
    rate, intensity = part.numbers("gflops"), part.numbers("flops_per_byte")
    hidden = part.numbers("hidden")
    filled = FILLED[part.one("precision")]
    for size, look in looks.items():
        look = look | ({"color": colour} if colour else {})
        axes.plot(intensity[hidden == size], rate[hidden == size],
                  markerfacecolor=look["color"] if filled else "white", **look)
    return intensity


def _looks(axes, sizes, coloured):
    """How each H looks, with its entry of the legend; its grey is of no account where colours tell
    cells."""
    greys = style.size_greys(len(sizes))
    looks = {size: style.series(at) | {"linestyle": "none", "color": grey}
             for at, (size, grey) in enumerate(zip(sizes, greys, strict=True))}
    for size, look in looks.items():
        look = look | ({"color": style.REFERENCE} if coloured else {})
        axes.plot([], [], label=formula(f"H={size:.0f}"), markerfacecolor="white", **look)
    return looks


def _kind_of_gates(cell):
    """What tells the cost of a cell: those without gates differ in little."""
    return cell if cell in findings.GATES else ""


def _colours(axes, timed):
    """Colour of each kind of cell, with its entry of the legend; none where there is one kind."""
    found = {_kind_of_gates(part.one("cell")) for part in timed}
    kinds = [kind for kind in ("", *findings.GATES) if kind in found]
    if len(kinds) < 2:
        return dict.fromkeys(kinds)
    colours = dict(zip(kinds, CELL_COLOURS, strict=False))
    for kind, colour in colours.items():
        axes.plot([], [], color=colour, linewidth=style.stroke(3.0),
                  label=findings.CELLS.get(kind, "without gates"))
    return colours


def roofline(axes, bench):
    bandwidth = _peak(bench, ("peak/bandwidth", "peak/cuda/copy"), "bytes_per_s")
    timed = [part for part in bench.split(("body", *KIND))
             if part.one("body") in OURS and part.one("gradients") == STATES
             and np.isfinite(part.numbers("flops_per_byte")).any()]
    compute = {precision: _peak(bench, (f"peak/fma/{precision}", f"peak/cuda/fma/{precision}"),
                                "gflops") for precision in ("f32", "f64")}
    timed = [part for part in timed if compute[part.one("precision")] is not None]
    if bandwidth is None or not timed:
        raise Absent("needs times of an engine beside the ceilings peak/...")
    spans = []
    colours = _colours(axes, timed)
    sizes = sorted({size for part in timed for size in part.numbers("hidden")})
    looks = _looks(axes, sizes, len(colours) > 1)
    for part in timed:
        ridge = compute[part.one("precision")] * 1e9 / bandwidth
        colour = colours[_kind_of_gates(part.one("cell"))]
        spans += [ridge / 10, ridge * 2, *_points(axes, part, looks, colour)]
    reach = np.geomspace(0.8 * min(spans), 1.6 * max(spans), 200)
    for dash, precision in zip(style.DASHES, sorted({p.one("precision") for p in timed}),
                               strict=False):
        _ceilings(axes, precision, dash, compute[precision], bandwidth, reach)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(y=0.1)
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.set(xlabel="operations per byte moved", ylabel="GFLOP/s")
    legend_below(axes)


# --- threads --------------------------------------------------------------------------------------

def _scaling(bench):
    """Rows of each shape timed with several numbers of threads; ascending."""
    found = {}
    for row in _rows(bench, "speedup_over_fewest_threads"):
        found.setdefault(row.shape, {})[int(row.place[1])] = row
    return {shape: dict(sorted(found[shape].items())) for shape in sorted(found) if len(found[shape]) > 1}


def _short_names(shapes):
    """Sizes by which shapes differ: H where that is enough."""
    differing = [at for at in range(len(SHAPE)) if len({shape[at] for shape in shapes}) > 1] or [0]
    if len({shape[0] for shape in shapes}) == len(shapes):
        differing = [0]
    return [", ".join(formula(f"{'HBRT'[at]}={shape[at]}") for at in differing) for shape in shapes]


def threads(axes, bench):
    scaling = _scaling(bench)
    if not scaling:
        raise Absent("needs one shape timed with two numbers of threads (two JSON files)")
    ends = []
    looks = zip(_short_names(scaling), style.size_greys(len(scaling)), scaling.values(), strict=True)
    for at, (name, grey, rows) in enumerate(looks):
        values = [row.middle for row in rows.values()]
        axes.plot(rows.keys(), values, label=name, **style.series(at) | {"color": grey})
        axes.vlines(rows.keys(), [row.least for row in rows.values()],
                    [row.most for row in rows.values()], color=grey, linewidth=style.stroke(0.7))
        ends.append((values[-1], name, {"color": LETTERS, "x": max(rows)}))
    counts = [count for rows in scaling.values() for count in rows]
    fewest = min(counts)
    axes.plot([fewest, max(counts)], [1.0, max(counts) / fewest], color=style.REFERENCE, zorder=1.7,
              linestyle=(0, (4, 3)), linewidth=style.stroke(0.8))
    axes.set_ylim(bottom=0.0)
    name_ends(axes, [*ends, (max(counts) / fewest, "ideal (linear)", {"color": LETTERS, "x": max(counts)})])
    axes.set(xlabel="threads", ylabel="times as fast")
    axes.xaxis.get_major_locator().set_params(integer=True)
