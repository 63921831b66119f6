"""What several figures share."""

import math
import textwrap

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from .. import findings, style


RADIUS = "spectral radius ρ of Wₕₕ"


class Absent(Exception):
    """The rows at hand do not make this figure; says why."""


def finite(values):
    """Values as a line or a band shows them: it breaks where one is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


def range_ends_log10(elements):
    """Norms, spread evenly over so many elements, at which formats end, by name; fp32 and bf16 end
    upwards at the same one."""
    limits = findings.limits_log10(elements)
    ends = {f"{name} → 0": low for name, (low, _) in limits.items()}
    ends["fp32, bf16 → ∞"] = limits["bf16"][1]
    return ends | {"fp16 → ∞": limits["fp16"][1]}


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def power_text(exponent, _position=None):
    """10 to the power of a whole number, without a formula: fast, and all in one font."""
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


def value_ticks(axes, values):
    """Ticks of a logarithmic x axis at each of the values; named as far as there is room."""
    values = sorted(set(values))
    # Lengths in ems. The axes take at least three quarters of the figure's width.
    em = 0.75 * 72.0 * axes.figure.get_figwidth() / _points("xtick.labelsize")
    em /= math.log(values[-1] / values[0]) or 1.0
    names, taken = [], -math.inf
    for value in values:
        name, place = f"{value:g}", em * math.log(value / values[0])
        half = 0.32 * len(name) + 0.2  # digits are 0.64 wide
        names.append(name if place - half >= taken else "")
        taken = place + half if names[-1] else taken
    axes.set_xticks(values, names)
    axes.minorticks_off()


def _width(line):
    """Of a line of text in ems."""
    path = TextPath((0, 0), line, size=1)
    places = path.vertices[path.codes != Path.CLOSEPOLY, 0] if len(path.vertices) else ()
    return np.ptp(places) if len(places) else 0.0


def _wrapped(line, room):
    """Lines of at most `room` ems; a word that is longer is broken."""
    lines, letters = [line], len(line)
    while letters > 8 and (widest := max(map(_width, lines))) > room:
        letters = min(letters - 1, int(letters * room / widest))
        lines = textwrap.wrap(line, letters, break_on_hyphens=False) or [""]
    return lines


HEAD = 0.84  # of the figure's width: axes, and so their heads, are not in its middle


def head(figure, text):
    """A title in lines that fit. The figure gets higher by those that wrapping adds."""
    size = _points("axes.titlesize") / 72.0
    lines = text.split("\n")
    fitted = [part for line in lines for part in _wrapped(line, HEAD * figure.get_figwidth() / size)]
    figure.set_figheight(figure.get_figheight() + 1.2 * size * (len(fitted) - len(lines)))
    return "\n".join(fitted)


def network_head(axes, table):
    """A title that names the network."""
    return head(axes.figure, findings.describe(table))


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
    """Under the axes, where it covers no data; left out where it would name nothing. A long one
    makes the figure higher, not the axes smaller."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    labels = [textwrap.fill(label, LETTERS) for label in labels]
    figure, inches = axes.figure, _points("legend.fontsize") / 72.0
    columns = _columns(labels, figure.get_figwidth() / inches - 1.5)
    lines = [1 + label.count("\n") for label in labels]
    rows = max(sum(column) for column in np.array_split(lines, columns))
    figure.set_figheight(figure.get_figheight() + max(0, rows - ROWS) * ROW * inches)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


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


def mark_levels(axes, levels):
    """Dotted lines at `levels` {name: value} as far as they are in view, named at the right."""
    low, high = axes.get_ylim()
    shown = sorted((value, name) for name, value in levels.items() if low < value < high)
    places = spread([value for value, _ in shown], 0.055 * (high - low))
    for (value, name), place in zip(shown, places, strict=True):
        axes.axhline(value, color=style.REFERENCE, linestyle=":", linewidth=style.stroke(0.8), zorder=1.5)
        axes.annotate(
            name, (1.0, value), (1.04, place), xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"), va="center", color="#333333",
            fontsize="x-small", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": style.REFERENCE, "linewidth": style.stroke(0.5),
                        "shrinkA": 1, "shrinkB": 0, "relpos": (0.0, 0.5)})
