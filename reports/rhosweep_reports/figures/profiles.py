"""Figures of gradient norms step by step, from the tables profile and decay."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import findings, style
from .drawing import (
    BACK,
    RADIUS,
    Absent,
    finite,
    legend_below,
    mark_levels,
    norm_of,
    number_axis,
    panels,
    power_axis,
    radius_bar,
    radius_colours,
    range_ends_log10,
)
from .flow import ordered

# --- profile --------------------------------------------------------------------------------------

def _state(axes, profile, curves, colours):
    """The curves of one state, a line for each radius."""
    for radius, values in curves:
        step = np.arange(1, values.shape[1] + 1)
        shown = finite(values)
        colour = colours.to_rgba(radius)
        if len(shown) > 1:
            axes.fill_between(step, shown.min(axis=0), shown.max(axis=0), color=colour, alpha=0.3,
                              linewidth=0)
        axes.plot(step, shown.mean(axis=0), color=colour, linewidth=style.stroke(0.9))
    power_axis(axes.yaxis)
    axes.margins(x=0)
    axes.set_ylabel(norm_of(profile))


def profile(axes, profile):
    parts = findings.states(profile)
    states = [findings.curves(part) for part in parts]
    if not any(np.isfinite(values).any() for curves in states for _, values in curves):
        raise Absent("no norm is finite")
    radii = [radius for radius, _ in states[0]]
    colours = radius_colours(radii)
    every = panels(axes, len(parts))
    for one, part, curves in zip(every, parts, states, strict=True):
        _state(one, part, curves, colours)
    for one in every:  # once all have taken part in their common scale
        mark_levels(one, range_ends_log10(int(profile.one("hidden"))))
    every[-1].set_xlabel("time step t (the loss is at the right end)")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(radii) > 1:
        radius_bar(every, colours)
    else:
        axes.plot([], [], color=colours.to_rgba(radii[0]), label=f"ρ = {findings.number(radii[0], 4)}")
        legend_below(axes)


# --- heat map -------------------------------------------------------------------------------------

def _edges(centres):
    """Borders of cells around ascending centres."""
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate(([2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]))


def heatmap(axes, profile):
    curves = findings.curves(profile)
    radii = np.array([radius for radius, _ in curves])
    if len(set(radii)) < 2:
        raise Absent("needs more than one radius")
    grid = np.array([values.mean(axis=0)[::-1] for _, values in curves]).T  # steps back, radii
    if grid.shape[0] < 2 or not np.isfinite(grid).any():
        raise Absent("needs more than one step with finite norms")
    back = np.arange(grid.shape[0])
    axes.set_facecolor("#BBBBBB")
    axes.grid(False)
    mesh = axes.pcolormesh(_edges(radii), _edges(back.astype(float)), np.ma.masked_invalid(grid),
                           cmap=style.HEAT, rasterized=True)
    fallen = finite(grid - grid[:1])
    if np.nanmin(fallen) < -findings.VANISHED < np.nanmax(fallen):
        axes.contour(radii, back, fallen, levels=[-findings.VANISHED], colors="black",
                     linewidths=style.stroke(1.0), linestyles="--")
        axes.plot([], [], color="black", linestyle="--", linewidth=style.stroke(1.0),
                  label="1e-3 of the norm at the loss")
    bar = axes.figure.colorbar(mesh, ax=axes, label=norm_of(findings.states(profile)[0]), pad=0.02,
                               aspect=25)
    power_axis(bar.ax.yaxis)
    axes.set(xlabel=RADIUS, ylabel=BACK,
             ylim=(-0.5, grid.shape[0] - 0.5))
    legend_below(axes)


# --- horizon --------------------------------------------------------------------------------------

def _reach(axes, profile):
    """Median and range over seeds of the steps back to 1e-3 of the start."""
    curves = findings.curves(profile)
    reach = [findings.horizon(values) for _, values in curves]
    # A seed that never gets there reaches further than any step.
    filled = [np.where(np.isnan(steps), np.inf, steps) for steps in reach]
    middle = finite(np.array([np.median(steps) for steps in filled]))
    if np.isnan(middle).all():
        return False
    radii = np.array([radius for radius, _ in curves])
    length = curves[0][1].shape[1]
    low = np.array([steps.min() for steps in filled])
    high = np.minimum([steps.max() for steps in filled], length)
    shown = np.isfinite(middle)
    axes.fill_between(radii[shown], low[shown], high[shown], color=style.SERIES[0], alpha=0.18,
                      linewidth=0)
    axes.plot(radii, middle, label="1e-3 of the start", markerfacecolor="white", **style.series(0))
    return True


def _range_ends(decay):
    """Label and steps of every end of a format's range that is reached; ends reached at the same
    steps, such as the largest fp32 and bf16, are one."""
    found = []
    for end, sign in (("underflow", "0"), ("overflow", "∞")):
        seen = {}
        for name in findings.LIMITS:
            (steps,) = ordered(decay, f"{name}_{end}")
            if not np.isnan(steps).all():
                seen.setdefault(steps.tobytes(), (steps, []))[1].append(name)
        found += [(f"{', '.join(names)} → {sign}", steps) for steps, names in seen.values()]
    return found


def horizon(axes, decay, profile):
    reached = _reach(axes, profile)
    ends = _range_ends(decay)
    if not reached and not ends:
        raise Absent("no gradient falls to 1e-3 of its start or leaves a format's range")
    (rho,) = ordered(decay, "rho")
    for at, (label, steps) in enumerate(ends, start=1):
        axes.plot(rho, steps, label=label, markerfacecolor="white", **style.series(at))
    length = int(decay.one("steps"))
    axes.set_yscale("symlog", linthresh=1.0, linscale=0.35)
    axes.axhline(length, color=style.REFERENCE, linestyle=":", linewidth=style.stroke(0.9))
    axes.annotate(f"T = {length}", (1.0, length), (0, 1.5), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", va="bottom", fontsize="x-small",
                  color="#333333")
    axes.set(xlabel=RADIUS, ylabel=BACK, ylim=(0, 1.6 * length))
    number_axis(axes.yaxis)
    legend_below(axes)
