"""Figures of gradient norms step by step, from the tables profile, decay and critical."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from .. import findings, style
from ..text import math as formula
from .drawing import (
    BACK,
    OVER,
    SYMBOL,
    Absent,
    cell_edges,
    finite,
    finite_range,
    last_finite,
    mark_levels,
    norm_of,
    norm_over_start,
    number_axis,
    padded,
    panels,
    power_axis,
    power_text,
    range_ends_log10,
)
from .flow import ordered
from .kinds import critical_points, told
from .places import fraction, name_ends, name_line, write_where_free


def _critical_place(critical, x="rho"):
    """NaN where the mean rate is 0 at no radius."""
    return critical.numbers(f"{x}_critical")[0] if critical is not None else np.nan


def _steps_axis(axis):
    axis.set_label_text(BACK)
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))


# --- profile --------------------------------------------------------------------------------------

CURVES = 5


def _means(values):
    """Over seeds, by steps back."""
    return finite(values[:, ::-1]).mean(axis=0)


def _lasts(ends, values):
    """Whether a curve is within the range of fp32 for half of its steps: a steeper one presses all
    others together."""
    low, high = ends
    known = values[np.isfinite(values)]
    return len(known) > 0 and ((low < known) & (known < high)).sum() >= len(values) / 2


def _nearest(values, targets):
    """For each target the value that is nearest to it and not taken yet."""
    taken = []
    for target in targets:
        order = np.abs(values - target).argsort(kind="stable")
        taken.append(next(int(at) for at in order if at not in taken))
    return taken


def choose_curves(means, critical, hidden):
    """Which radii are shown, of the mean norms at each, ascending: the one nearest to the critical
    radius (its place among all, or None), and others such that their ends are evenly spread."""
    if len(means) <= CURVES:
        return list(range(len(means)))
    ends = findings.limits_log10(hidden)["fp32"]
    lasting = [at for at, values in enumerate(means) if at == critical or _lasts(ends, values)]
    if len(lasting) < CURVES:
        lasting = [at for at, values in enumerate(means) if np.isfinite(values).any()]
    last = np.array([last_finite(means[at]) for at in lasting])
    if critical is None:
        return sorted(lasting[at] for at in _nearest(last, np.linspace(last.min(), last.max(), CURVES)))
    middle = lasting.index(critical)
    above = min(CURVES // 2, len(lasting) - 1 - middle)
    below = min(CURVES - 1 - above, middle)
    above = CURVES - 1 - below
    less = _nearest(last[:middle], np.linspace(last[0], last[middle], below + 1)[:-1])
    more = _nearest(last[middle + 1:], np.linspace(last[middle], last[-1], above + 1)[1:])
    return sorted(lasting[at] for at in (*less, middle, *(middle + 1 + at for at in more)))


def _shades(colour, count):
    """Of one colour, from dark to pale."""
    dark, pale = 0.7 * np.array(to_rgb(colour)), 0.65 * np.array(to_rgb(colour)) + 0.35
    return [tuple(dark + (pale - dark) * part) for part in np.linspace(0.0, 1.0, count)] \
        if count > 1 else [to_rgb(colour)]


def _colours(means, critical):
    """(line, letters) of each curve: what falls is blue, darker where it falls further; what grows is
    vermilion."""
    grows = [last_finite(values) > values[0] for values in means]
    falling = iter(_shades(style.VANISH, grows.count(False)))
    growing = iter(_shades(style.EXPLODE, grows.count(True))[::-1])
    found = [(next(growing), style.EXPLODE_TEXT) if up else (next(falling), style.VANISH_TEXT)
             for up in grows]
    if critical is not None:
        found[critical] = (style.MEASURED, style.MEASURED)
    return found


def _state(axes, profile, curves, colours, critical):
    """The curves of one state; returns their names (places.name_ends)."""
    ends = []
    for at, (radius, values) in enumerate(curves):
        shown, (colour, letters) = finite(values[:, ::-1]), colours[at]
        back = np.arange(shown.shape[1])
        strong = at == critical
        if len(shown) > 1:
            axes.fill_between(back, shown.min(axis=0), shown.max(axis=0), color=colour, alpha=0.16,
                              linewidth=0)
        axes.plot(back, shown.mean(axis=0), color=colour, linewidth=style.stroke(1.8 if strong else 1.0),
                  zorder=3 if strong else 2.5)
        words = rf"\rho={findings.number(radius, 4)}" + (rf"\approx{SYMBOL['rho']}" if strong else "")
        if np.isfinite(last := last_finite(shown.mean(axis=0))):
            ends.append((last, formula(words), {"color": letters, "fontsize": "small"}))
    start = np.mean([values[:, -1] for _, values in curves])
    if np.isfinite(start):
        axes.axhline(start, color=style.MEASURED, linewidth=style.stroke(0.5), zorder=1.6)
    return ends


def _nearest_to_critical(radii, critical):
    """The place of the radius nearest to the critical one; None where that is not among them."""
    place = _critical_place(critical)
    if len(radii) < 2 or not radii[0] <= place <= radii[-1]:
        return None
    return int(np.abs(np.subtract(radii, place)).argmin())


def profile(axes, profile, critical=None):
    parts = findings.states(profile)
    states = [findings.curves(part) for part in parts]
    if not any(np.isfinite(values).any() for curves in states for _, values in curves):
        raise Absent("no norm is finite")
    hidden = int(profile.one("hidden"))
    means = [_means(values) for _, values in states[0]]
    nearest = _nearest_to_critical([radius for radius, _ in states[0]], critical)
    chosen = choose_curves(means, nearest, hidden)
    strong = chosen.index(nearest) if nearest is not None else None
    colours = _colours([means[at] for at in chosen], strong)
    every = panels(axes, len(parts))
    ends = [_state(one, part, [curves[at] for at in chosen], colours, strong)
            for one, part, curves in zip(every, parts, states, strict=True)]
    power_axis(axes.yaxis)
    axes.margins(x=0)
    for one, names in zip(every, ends, strict=True):  # once all have taken part in their common scale
        mark_levels(one, range_ends_log10(hidden), names)
    for one, part in zip(every, parts, strict=True):
        one.set_ylabel(norm_of(part) if len(every) > 1 else f"gradient norm {norm_of(part)}")
    _steps_axis(every[-1].xaxis)


# --- heat map -------------------------------------------------------------------------------------

CLIPS = (1, 2, 3, 5, 10)  # decades at which colours end
DARK = 0.75  # of these, from where letters are white


def _grid(profile, x):
    """Ascending radii or couplings, and log10 of the norm relative to that at the loss [places, steps
    back], the mean over seeds."""
    curves = findings.curves(profile, x)
    norms = np.array([values.mean(axis=0)[::-1] for _, values in curves])
    with np.errstate(invalid="ignore"):
        return np.array([place for place, _ in curves]), finite(norms - norms[:, :1])


def _draw_colours(axes, places, relative):
    """Colours around the norm at the loss, and their bar; returns where they end."""
    furthest = np.nanmax(np.abs(relative))
    clip = next((decades for decades in CLIPS if furthest <= decades), CLIPS[-1])
    mesh = axes.pcolormesh(cell_edges(np.arange(relative.shape[1], dtype=float)), cell_edges(places),
                           np.ma.masked_invalid(relative), cmap=style.DIVERGING, vmin=-clip, vmax=clip,
                           rasterized=True)
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (np.nanmin(relative) < -clip, np.nanmax(relative) > clip), "neither")
    step = next(step for step in (5, 3, 1) if clip % step == 0)
    bar = axes.figure.colorbar(mesh, ax=axes, extend=beyond, pad=0.02, aspect=25,
                               ticks=np.arange(-clip, clip + 1, step), format=power_text)
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    return clip, bar


def _name_contour(axes, contour):
    """On the line, where that is a third of the way back, or as near as its middle half comes."""
    points = np.concatenate([path.vertices for path in contour.get_paths()] or [np.empty((0, 2))])
    if not len(points):
        return
    places = fraction(axes, points)
    inside = np.flatnonzero(((places > 0.08) & (places < 0.92)).all(axis=1))
    if len(inside):
        wanted = np.clip(0.35, *np.quantile(places[inside, 0], (0.25, 0.75)))
        at = inside[np.abs(places[inside, 0] - wanted).argmin()]
        axes.text(*points[at], power_text(contour.levels[0]), ha="center", va="center", fontsize="small",
                  bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "boxstyle": "round,pad=0.12"})


def _draw_contours(axes, places, relative):
    """Where gradients are a thousandth of that at the loss, and a thousand times it."""
    back = np.arange(relative.shape[1])
    return [axes.contour(back, places, relative, levels=[level], colors="black", linewidths=style.stroke(0.9),
                         linestyles="-")
            for level in (-findings.VANISHED, findings.VANISHED)
            if np.nanmin(relative) < level < np.nanmax(relative)]


def _value_at(places, relative):
    """A function of data coordinates (arrays) to the value of the cell that is there."""
    edges = cell_edges(places)[1:-1]

    def value(x, y):
        step = np.clip(np.rint(x).astype(int), 0, relative.shape[1] - 1)
        return relative[np.searchsorted(edges, y), step]
    return value


def heatmap(axes, profile, critical=None, x="rho"):
    places, relative = _grid(profile, x)
    if len(set(places)) < 2:
        raise Absent("needs more than one radius")
    if relative.shape[1] < 2 or not np.isfinite(relative).any():
        raise Absent("needs more than one step with finite norms")
    axes.set_facecolor("#BBBBBB")
    clip, bar = _draw_colours(axes, places, relative)
    bar.set_label(norm_over_start(findings.states(profile)[0]))
    contours = _draw_contours(axes, places, relative)
    axes.set_ylabel(OVER[x])
    _steps_axis(axes.xaxis)
    axes.set(xlim=(-0.5, relative.shape[1] - 0.5), ylim=cell_edges(places)[[0, -1]])
    star = _critical_place(critical, x)
    shown = axes.get_ylim()[0] < star < axes.get_ylim()[1]
    if shown:
        axes.axhline(star, color=style.MEASURED, linestyle="--", linewidth=style.stroke(0.9))

    def place():
        for contour in contours:
            _name_contour(axes, contour)
        value = _value_at(places, relative)
        if shown:
            words = told(x, *(values[0] for values in critical_points(critical, x)))
            write_where_free(axes, words, (0.0, fraction(axes, (0, star))[1]),
                             where=lambda *at: np.abs(value(*at)) < 0.5 * clip)
        dark = max(findings.VANISHED, DARK * clip)
        for words, sign in (("vanished", -1.0), ("exploded", 1.0)):
            rows, steps = np.nonzero(sign * relative > dark)
            if len(rows):
                middle = fraction(axes, (steps.mean(), places[rows].mean()))
                write_where_free(axes, words, middle, color="white", weight="bold",
                                 where=lambda *at, sign=sign: sign * value(*at) > dark)
    return place


# --- horizon --------------------------------------------------------------------------------------

_MARKS = {"fp32": "^", "fp16": "s", "bf16": "D"}
_ENDS = {"underflow": (style.VANISH, style.VANISH_TEXT), "overflow": (style.EXPLODE, style.EXPLODE_TEXT)}


def _draw_fall(axes, profile, x):
    """Median and range over seeds of the steps back to 1e-3 of the start; None where no median is."""
    curves = findings.curves(profile, x)
    reach = [findings.horizon(values) for _, values in curves]
    # A seed that never gets there reaches further than any step.
    filled = [np.where(np.isnan(steps), np.inf, steps) for steps in reach]
    middle = finite(np.array([np.median(steps) for steps in filled]))
    shown = np.isfinite(middle)
    if not shown.any():
        return None
    places = np.array([place for place, _ in curves])
    low = np.array([steps.min() for steps in filled])
    high = np.minimum([steps.max() for steps in filled], int(profile.one("steps")))
    axes.fill_between(places[shown], low[shown], high[shown], color=style.MEASURED, alpha=0.15, linewidth=0)
    (line,) = axes.plot(places, middle, label="1e-3 of the start", marker="o", markerfacecolor="white",
                        color=style.MEASURED)
    return line, f"falls to {power_text(-findings.VANISHED)}", style.MEASURED


def _reached(decay, end):
    """(formats, steps) of an end of ranges as far as it is reached, the nearest first. Formats that reach
    it at the same steps, as fp32 and bf16 the upper end, are one."""
    found = {}
    for name in findings.LIMITS:
        (steps,) = ordered(decay, f"{name}_{end}")
        if not np.isnan(steps).all():
            found.setdefault(steps.tobytes(), (steps, []))[1].append(name)
    return sorted(((names, steps) for steps, names in found.values()), key=lambda one: np.nanmin(one[1]))


def _draw_range_ends(axes, decay, x):
    """(line, name, colour of the name) of every end of a format's range that is reached. The first of
    an end has its whole name; the others, of the same colour, are beside it."""
    found = []
    (place,) = ordered(decay, x)
    for end, (colour, letters) in _ENDS.items():
        for names, steps in _reached(decay, end):
            label = f"{', '.join(names)} {end}"
            (line,) = axes.plot(place, steps, label=label, color=colour, marker=_MARKS[names[0]],
                                markerfacecolor="white")
            alone = not found or found[-1][2] != letters
            found.append((line, label if alone else ", ".join(names), letters))
    return found


def _scale_steps(axes, lines, length):
    """A scale from the data: logarithmic, but where an end is reached at the loss itself. The recorded
    steps are marked where the data come near; returns their name (places.name_ends)."""
    low, high = finite_range(np.concatenate([line.get_ydata() for line in lines]))
    near = high > 0.5 * length
    high = max(high, length) if near else high
    if low >= 1.0:
        axes.set(yscale="log", ylim=(low / 1.3, 1.3 * high))
    else:
        axes.set_yscale("symlog", linthresh=1.0, linscale=0.35)
        axes.set_ylim(-0.05, 1.3 * max(high, 1.0))
    number_axis(axes.yaxis)
    if not near:
        return []
    axes.axhline(length, color=style.REFERENCE, linestyle=":", linewidth=style.stroke(0.9), zorder=1.5)
    return [(length, formula(f"T={length}"), {"color": "#555555"})]


def horizon(axes, decay, profile, x="rho"):
    fall = _draw_fall(axes, profile, x)
    drawn = ([fall] if fall else []) + _draw_range_ends(axes, decay, x)
    if not drawn:
        raise Absent("no gradient falls to 1e-3 of its start or leaves a format's range")
    axes.set(xlabel=OVER[x], ylabel=BACK, xlim=padded(decay.numbers(x)))
    ends = _scale_steps(axes, [line for line, *_ in drawn], int(decay.one("steps")))
    within = []
    for line, words, colour in drawn:
        last = line.get_ydata()[-1]
        if np.isfinite(last):
            ends.append((last, words, {"color": colour, "fontsize": "small", "x": line.get_xdata()[-1]}))
        else:
            within.append((line, words, colour))
    name_ends(axes, ends)

    def place():
        for line, words, colour in within:
            name_line(axes, words, *line.get_data(), at=0.7, sizes=("small", "x-small"), color=colour)
    return place
