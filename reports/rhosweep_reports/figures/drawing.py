"""What several figures share."""

import math
import textwrap

import numpy as np
from matplotlib import rcParams
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import GridSpec
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from .. import findings, rounding, style
from ..text import math as formula
from ..text import mathtext
from .places import name_ends, write_where_free

RADIUS = "spectral radius " + formula(r"\rho") + " of " + formula("W_{hh}")
COUPLING = "coupling " + formula(r"g=\|W_{hh}\|_F\,/\sqrt{H}")
OVER = {"rho": RADIUS, "g": COUPLING}  # labels of the x axis that a user chooses, --x
BACK = "steps back from the loss, " + formula("T-t")
SYMBOL = {"rho": r"\rho^*", "g": "g^*"}  # in a formula, where gradients keep their norm
RATE = "decay rate, nats per step"
BAND = (0.1, 0.5, 0.9)  # quantiles over networks: the line is in the middle


class Absent(Exception):
    """The rows at hand do not make this figure; says why."""


def finite(values):
    """Values as a line or a band shows them: it breaks where one is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


def last_finite(values):
    """NaN where none is."""
    known = values[np.isfinite(values)]
    return known[-1] if len(known) else np.nan


def end_of(places, values, words, look):
    """What names a line at its last finite value (places.name_ends), in a list; an empty one where none is."""
    known = np.flatnonzero(np.isfinite(values))
    return [(values[known[-1]], words, look | {"x": places[known[-1]]})] if len(known) else []


def finite_range(values):
    """The least and the greatest of the finite values, of which there is at least one."""
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.min()), float(known.max())


def padded(values, part=0.03):
    """Limits of an axis for these values."""
    low, high = finite_range(values)
    margin = part * (high - low) or 0.1 * abs(high) or 0.1
    return low - margin, high + margin


def evenly(values, most):
    """At most so many of the values, at even distances, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(at)] for at in np.linspace(0, len(values) - 1, most)]


def letters(grey):
    """The grey of a size (style.size_greys), dark enough for letters."""
    return str(min(float(grey), 0.46))


def with_interval(value, low, high):
    """In a formula. Ends that the radii swept do not bound are 0 and infinite; without an interval (one
    seed) the value stands alone."""
    how = rounding.between(value, low, high)
    if np.isnan(low):
        return how.whole(value)
    left = f"[{how(low)}" if low > 0.0 else "(0"
    right = f"{how(high)}]" if high < np.inf else r"\infty)"
    return rf"{how(value)}\ {left},\,{right}{how.exponent}"


# --- regions of decay rates -----------------------------------------------------------------------

def tint_regions(axes, along="y"):
    """Of rates on an axis that has its limits: above 0 gradients vanish, below they explode."""
    low, high = axes.get_ylim() if along == "y" else axes.get_xlim()
    span = axes.axhspan if along == "y" else axes.axvspan
    if high > 0.0:
        span(max(0.0, low), high, color=style.VANISH, alpha=0.07, linewidth=0, zorder=0)
    if low < 0.0:
        span(low, min(0.0, high), color=style.EXPLODE, alpha=0.10, linewidth=0, zorder=0)
    axes.set(**{f"{along}lim": (low, high)})


def name_regions(axes, along="y"):
    """Where there is room, when the layout is settled."""
    def sign(x, y):
        return np.sign(y if along == "y" else x)

    for word, colour, side, near in (("vanish", style.VANISH_TEXT, 1, (0.4, 1.0)),
                                     ("explode", style.EXPLODE_TEXT, -1, (0.0, 0.3))):
        write_where_free(axes, f"gradients\n{word}", near, color=colour, weight="bold",
                         where=lambda *at, side=side: sign(*at) == side)


def stacked(axes, heights, **shared):
    """Axes one below the other that share their x axis; `axes` is the first. The figure, which has
    room for a height of 1, gets higher by most of what is beyond."""
    figure = axes.figure
    figure.set_figheight((1.0 + 0.8 * (sum(heights) - 1.0)) * figure.get_figheight())
    grid = GridSpec(len(heights), 1, figure, height_ratios=heights)
    axes.set_subplotspec(grid[0])
    every = [axes, *(figure.add_subplot(grid[at], sharex=axes, **shared)
                    for at in range(1, len(heights)))]
    for one in every[:-1]:
        one.tick_params(labelbottom=False)
    return every


PANEL = 0.68  # height of one of several axes in that of one alone


def panels(axes, count):
    """So many axes one below the other that share both scales, so that they can be compared."""
    return stacked(axes, [PANEL] * count, sharey=axes) if count > 1 else [axes]


def radius_colours(radii):
    """Colours of spectral radii, also for a bar that tells them."""
    low, high = min(radii), max(radii)
    if low == high:
        low, high = 0.99 * low, 1.01 * high
    return ScalarMappable(Normalize(low, high), style.RADIUS)


def label_above(axis, label):
    """Of an axis on top, clear of its ticks' names, whose formulas and descenders reach higher than digits."""
    axis.set_label_text(label)
    axis.labelpad = 0.6 * _points("axes.labelsize")


def radius_bar(every, colours):
    """A bar of colours above axes."""
    bar = every[0].figure.colorbar(colours, ax=every, location="top", pad=0.02, aspect=35)
    label_above(bar.ax.xaxis, RADIUS)


def gradient_norm(of):
    """The norm of the loss's derivative."""
    return formula(rf"\|\partial L/\partial {of}\|")


_STATES = {"h": "h_%s", "c": "c_%s", findings.PAIR: "(h_%s,c_%s)"}


def _state_at(profile, step):
    return _STATES[profile.one("state")].replace("%s", step)


def norm_of(profile):
    """What the norms of one state are of."""
    return gradient_norm(_state_at(profile, "t"))


def norm_over_start(profile):
    """The same, relative to where the loss is."""
    return f"{norm_of(profile)} / {gradient_norm(_state_at(profile, 'T'))}"


def cell_edges(centres):
    """Borders of cells around ascending centres."""
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate(([2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]))


def zero_line(axes):
    axes.axhline(0.0, color="#000000", linewidth=style.stroke(0.7), zorder=1.6)


def quantile_band(axes, places, samples, look, label):
    """Median and band of the samples at each place, one array for each. Returns the last median that is
    finite, NaN where none is."""
    low, middle, high = finite(np.transpose([findings.quantiles(values, BAND) for values in samples]))
    if len(places) == 1:
        axes.errorbar(places, middle, np.array([middle - low, high - middle]), fmt="none", color=look["color"],
                      elinewidth=style.stroke(1.0), capsize=style.stroke(2.5))
    axes.fill_between(places, low, high, color=look["color"], alpha=0.18, linewidth=0)
    axes.plot(places, middle, label=label, markerfacecolor="white", **look)
    return last_finite(middle)


def range_ends_log10(elements):
    """Norms, spread evenly over so many elements, at which formats end, by name. bf16 ends upwards where
    fp32 does."""
    limits = findings.limits_log10(elements)
    ends = {f"{name} underflow": low for name, (low, _) in limits.items()}
    return ends | {f"{name} overflow": limits[name][1] for name in ("fp32", "fp16")}


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def power_text(exponent, _position=None):
    """10 to the power of a whole number, without a formula: fast, and all in one font."""
    if exponent == 0:
        return "1"
    return "10" + f"{exponent:.0f}".translate(_SUPERSCRIPT)


def power_axis(axis):
    """An axis of log10 values, labelled as powers of ten."""
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 3, 5, 10]))
    axis.set_major_formatter(power_text)


def number_axis(axis):
    """A logarithmic axis labelled with plain numbers. Call it when the data are drawn."""
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log" and high < 200.0 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _points(size):
    """The points of a font size from matplotlib's parameters, which may be a word."""
    return FontProperties(size=rcParams[size]).get_size_in_points()


def named_ticks(axes, names, scale=float):
    """Ticks of the x axis at each place of `names`; named as far as there is room. `scale` is that of
    the axis."""
    places = sorted(names)
    # Lengths in ems. The axes take at least three quarters of the figure's width.
    em = 0.75 * 72.0 * axes.figure.get_figwidth() / _points("xtick.labelsize")
    em /= (scale(places[-1]) - scale(places[0])) or 1.0
    shown, taken = [], -math.inf
    for value in places:
        place = em * (scale(value) - scale(places[0]))
        half = 0.32 * max(map(len, names[value].split("\n"))) + 0.2  # digits are 0.64 wide
        shown.append(names[value] if place - half >= taken else "")
        taken = place + half if shown[-1] else taken
    axes.set_xticks(places, shown)
    axes.minorticks_off()


def value_ticks(axes, values):
    """Ticks of a logarithmic x axis at each of the values."""
    named_ticks(axes, {value: f"{value:g}" for value in values}, math.log)


def _width(line):
    """Of a line of text in ems."""
    path = TextPath((0, 0), mathtext(line), size=1)
    places = path.vertices[path.codes != Path.CLOSEPOLY, 0] if len(path.vertices) else ()
    return np.ptp(places) if len(places) else 0.0


def wrapped(line, room):
    """Lines of at most `room` ems; a word that is longer is broken."""
    lines, letters = [line], len(line)
    while letters > 8 and (widest := max(map(_width, lines))) > room:
        letters = min(letters - 1, int(letters * room / widest))
        lines = textwrap.wrap(line, letters, break_on_hyphens=False) or [""]
    return lines


HEAD = 0.96  # of the figure's width


def head(figure, text):
    """A title above all in lines that fit. The figure gets higher by them."""
    size = _points("axes.titlesize") / 72.0
    fitted = [part for line in text.split("\n")
              for part in wrapped(line, HEAD * figure.get_figwidth() / size)]
    figure.set_figheight(figure.get_figheight() + 1.2 * size * len(fitted))
    figure.suptitle("\n".join(fitted), fontsize=rcParams["axes.titlesize"])


def _columns(labels, room):
    """How many columns of a legend fit into `room` ems. Labels run down the columns."""
    width = [max(_width(line) for line in label.split("\n")) for label in labels]
    beside = sum(rcParams[f"legend.{name}"] for name in
                 ("handlelength", "handletextpad", "columnspacing"))
    for columns in range(len(labels), 1, -1):
        widest = [column.max() for column in np.array_split(width, columns)]
        if sum(widest) + columns * beside <= room:
            return columns
    return 1


ROWS = 4  # of a legend for which a figure's height has room
ROW = 1.5  # height in ems
LETTERS = 54  # in the widest label that fits a column


def legend_below(axes):
    """Of all axes, each name once. Under them, where it covers no data; left out where it would name
    nothing. A long one makes the figure higher, not the axes smaller."""
    named = {}
    for one in axes.figure.axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            named.setdefault(textwrap.fill(label, LETTERS), handle)
    if not named:
        return
    labels = list(named)
    figure, inches = axes.figure, _points("legend.fontsize") / 72.0
    columns = _columns(labels, figure.get_figwidth() / inches - 1.5)
    lines = [1 + label.count("\n") for label in labels]
    rows = max(sum(column) for column in np.array_split(lines, columns))
    figure.set_figheight(figure.get_figheight() + max(0, rows - ROWS) * ROW * inches)
    figure.legend(named.values(), labels, loc="outside lower center", ncols=columns)


def mark_levels(axes, levels, ends=()):
    """Dotted lines at `levels` {name: value} as far as they are in view, named at the right, with the
    names of other `ends` there (places.name_ends)."""
    low, high = axes.get_ylim()
    shown = {name: value for name, value in levels.items() if low < value < high}
    for value in shown.values():
        axes.axhline(value, color=style.REFERENCE, linestyle=":", linewidth=style.stroke(0.8), zorder=1.5)
    name_ends(axes, [*ends, *((value, name, {"color": "#555555"}) for name, value in shown.items())])
