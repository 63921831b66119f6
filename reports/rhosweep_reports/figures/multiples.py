"""Small multiples: decay rates of all kinds of networks at all sizes, from the tables decay and critical."""

from dataclasses import dataclass

import numpy as np
from matplotlib import rcParams
from matplotlib.gridspec import GridSpec
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from .. import findings, style
from .drawing import OVER, RATE, Absent, evenly, legend_below, wrapped, zero_line
from .flow import laws
from .kinds import KIND, critical_points, kinds, sizes, told
from .places import write_where_free

PANEL = 10.0  # ems that a panel is wide at least
MOST_DOWN = 8
PALE = "#C8C8C8"
FILL = ((style.VANISH, 0.22, "vanishing", 1), (style.EXPLODE, 0.55, "exploding", -1))  # sign of the rate


@dataclass(frozen=True)
class _Panel:
    kind: str
    size: int
    decay: object
    critical: object  # one row

    def curve(self, x):
        """x, rate and half its interval, as far as there is a rate."""
        columns = (self.decay.numbers(name) for name in (x, "decay_rate", "decay_rate_ci95"))
        found = np.array([column[findings.by_radius(self.decay)] for column in columns])
        found = found[:, np.isfinite(found[:2]).all(axis=0)]
        found[2] = np.nan_to_num(found[2])
        return found


def _panels(decay, critical):
    """By kind and size; of those that have rates."""
    points = {findings.key(row, (*KIND, "hidden")): row for row in critical.split((*KIND, "hidden"))}
    found = {}
    for name, part in kinds(decay):
        for rows in part.split(("hidden",)):
            if np.isfinite(rows.numbers("decay_rate")).any():
                size = int(rows.one("hidden"))
                found[findings.key(part, KIND), size] = _Panel(
                    name, size, rows, points[findings.key(rows, (*KIND, "hidden"))])
    return found


def has_several_panels(decay, critical):
    return decay.varies("rho_asked") and len(_panels(decay, critical)) > 1


# --- the grid -------------------------------------------------------------------------------------

def _across(figure):
    """How many panels fit side by side."""
    return max(1, int(72.0 * figure.get_figwidth() / rcParams["font.size"] / PANEL))


def _in_rows(every, across):
    """A list of panels as rows of about the same length."""
    down = min(MOST_DOWN, -(-len(every) // across))
    across = min(across, -(-len(every) // down))
    return [every[at:at + across] for at in range(0, len(every), across)][:down]


def _crossed(panels, across):
    """Kinds by sizes, as rows of panels: the more of them side by side where they fit."""
    names, widths = (list(dict.fromkeys(column)) for column in zip(*panels, strict=True))
    widths.sort()
    sides_fit = [side for side in sorted((widths, names), key=len, reverse=True) if len(side) <= across]
    beside = sides_fit[0] if sides_fit else widths
    if beside is widths:
        return [[panels.get((kind, size)) for size in evenly(widths, across)] for kind in names[:MOST_DOWN]]
    return [[panels.get((kind, size)) for kind in names] for size in evenly(widths, MOST_DOWN)]


def _arranged(figure, panels):
    """Rows of panels, and whether all of a row and of a column share a kind or a size."""
    across = _across(figure)
    crossed = all(len(set(values)) > 1 for values in zip(*panels, strict=True))
    return (_crossed(panels, across) if crossed else _in_rows(list(panels.values()), across)), crossed


def _axes_of(first, rows):
    """Axes for every panel, by place, with common scales; names of ticks at the left and below."""
    figure, across = first.figure, max(map(len, rows))
    em = rcParams["font.size"] / 72.0
    height = max(6.5 * em, 0.62 * figure.get_figwidth() / across)
    figure.set_figheight(len(rows) * height + 8.0 * em)
    grid = GridSpec(len(rows), across, figure)
    axes, places = {}, [(i, j) for i, row in enumerate(rows) for j, panel in enumerate(row) if panel]
    for i, j in places:
        own = figure.add_subplot(grid[i, j], sharex=first, sharey=first) if axes else first
        own.set_subplotspec(grid[i, j])
        own.tick_params(labelbottom=(i + 1, j) not in places, labelleft=j == 0)
        own.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        own.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axes[i, j] = own
    return axes


def _wrapped(text, inches):
    """In two lines of such a length at most."""
    lines = wrapped(text, 72.0 * inches / rcParams["axes.titlesize"])
    return "\n".join(lines if len(lines) < 3 else [lines[0], lines[1][:-3] + "..."])


def _name(axes, rows, crossed):
    """Names of kinds and sizes: over columns and beside rows, or over each panel of a list."""
    sizes_run_across = crossed and len({panel.size for panel in rows[0] if panel}) > 1
    several_sizes = len({panel.size for row in rows for panel in row if panel}) > 1
    figure = axes[0, 0].figure
    width, height = (0.85 * inches / count for inches, count in
                     zip(figure.get_size_inches(), (max(map(len, rows)), len(rows)), strict=True))
    for (i, j), own in axes.items():
        panel = rows[i][j]
        size, kind = f"H = {panel.size}", panel.kind
        over, beside = (size, kind) if (sizes_run_across if crossed else several_sizes) else (kind, size)
        if not crossed or (i - 1, j) not in axes:
            own.set_title(_wrapped(over, width), pad=3.0)
        if crossed and (i, j + 1) not in axes:
            own.annotate(_wrapped(beside, height), (1.0, 0.5), (4.0, 0.0), xycoords="axes fraction",
                         textcoords="offset points", rotation=-90, va="center", ha="left",
                         fontsize=rcParams["axes.titlesize"])


def _cut(panels, rows):
    """What is left out, in words."""
    shown = [panel for row in rows for panel in row if panel]
    left = len(panels) - len(shown)
    return f"\n{len(shown)} of {len(panels)} panels shown" if left else ""


# --- a panel --------------------------------------------------------------------------------------

def _draw_others(own, curves):
    """All curves, pale, as a patch: words need not keep clear of them."""
    paths = [Path(curve[:2].T) for curve in curves]
    own.add_patch(PathPatch(Path.make_compound_path(*paths), fill=False, color=PALE,
                            linewidth=style.stroke(0.5), zorder=1))


def _fill(own, x, rate):
    """Areas to the zero line."""
    for colour, alpha, name, sign in FILL:
        if (sign * rate > 0.0).any():
            own.fill_between(x, rate, 0.0, where=sign * rate > 0.0, interpolate=True, color=colour,
                             alpha=alpha, linewidth=0, zorder=1.2, label=name)


def _mark_critical(own, panel, x):
    (value,), (low,), (high,) = critical_points(panel.critical, x)
    if np.isnan(value):
        return
    ends = np.clip([low, high], *own.get_xlim())
    own.plot(ends, [0.0, 0.0], color=style.MEASURED, linewidth=style.stroke(1.6), zorder=4,
             solid_capstyle="butt")
    own.plot([value], [0.0], marker="d", color=style.MEASURED, markersize=style.stroke(4.0),
             markeredgecolor="white", markeredgewidth=style.stroke(0.5), linestyle="none", zorder=5)


def _draw(own, panel, x):
    where, rate, half = panel.curve(x)
    _fill(own, where, rate)
    zero_line(own)
    for _, *law in laws(panel.decay, x):
        own.plot(*law, color=style.THEORY, linewidth=style.stroke(1.1), zorder=2, label="theory")
    own.errorbar(where, rate, half, fmt="o", label="measured", color=style.MEASURED,
                 markersize=style.stroke(1.5), markeredgewidth=0, elinewidth=style.stroke(0.6), zorder=3)
    _mark_critical(own, panel, x)


def _limits(panels, x):
    """Of x and of the rate, with some room around."""
    curves = [panel.curve(x) for panel in panels]
    predicted = [rate for panel in panels for _, _, rate in laws(panel.decay, x)]
    where = np.concatenate([curve[0] for curve in curves])
    rates = np.concatenate([*(curve[1] - curve[2] for curve in curves),
                            *(curve[1] + curve[2] for curve in curves), *predicted, [0.0]])
    for values in where, rates:
        low, high = np.nanmin(values), np.nanmax(values)
        room = 0.06 * (high - low) or 0.06
        yield low - room, high + room


def _label_below(axes, label):
    """The label of all x axes, and the legend under it: the layout has room below for one thing."""
    legend_below(axes)
    (legend,) = axes.figure.legends
    legend.set_title(label, {"size": rcParams["axes.labelsize"]})


def multiples(axes, decay, critical, x="rho"):
    panels = _panels(decay, critical)
    if not decay.varies("rho_asked"):
        raise Absent("needs several radii")
    if len(panels) < 2:
        raise Absent("needs several sizes, ensembles or cells with decay rates")
    rows, crossed = _arranged(axes.figure, panels)
    placed = _axes_of(axes, rows)
    shown = {place: rows[place[0]][place[1]] for place in placed}
    across, upright = _limits(list(shown.values()), x)
    axes.set(xlim=across, ylim=upright)
    curves = [panel.curve(x) for panel in shown.values()]
    for place, own in placed.items():
        _draw_others(own, curves)
        _draw(own, shown[place], x)
    _name(placed, rows, crossed)
    if len(rows) > 1:
        axes.figure.supylabel(RATE, fontsize=rcParams["axes.labelsize"])
    else:
        axes.set_ylabel(RATE.replace(", ", ",\n"))  # in one line longer than the panel is high
    _label_below(axes, OVER[x] + _cut(panels, rows))

    def write():
        for place, own in placed.items():
            words = told(x, *(values[0] for values in critical_points(shown[place].critical, x)))
            write_where_free(own, words, near=(1.0, 1.0), fontsize="x-small")
    return write
