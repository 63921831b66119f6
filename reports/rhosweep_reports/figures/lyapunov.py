"""Figures of Lyapunov spectra and of singular values, from the tables lyapunov, lyapunov-summary, seeds and
singular.

A network may have been measured more than once, with other numbers of directions, transients and distances
of QR: its fullest measurement is shown.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator

from .. import findings, student, style
from ..text import math as formula
from .drawing import (
    OVER,
    PANEL,
    Absent,
    end_of,
    evenly,
    finite,
    letters,
    padded,
    panels,
    power_axis,
    radius_bar,
    radius_colours,
    stacked,
    zero_line,
)
from .places import name_ends, name_line, write_where_free

# Of a measurement, and what makes it fuller: more, or less.
_MEASUREMENT = {"directions": 1.0, "transient": 1.0, "qr_asked": -1.0, "qr_every": -1.0}


def _fullest(table):
    """The rows of each network's fullest measurement, at one radius."""
    names = [name for name in _MEASUREMENT if name in table]

    def fullness(part):
        return [_MEASUREMENT[name] * part.numbers(name)[0] for name in names]

    return [max(part.split(names), key=fullness) for part in table.split(("seed",))]


def _by_radius(table, x, values):
    """Radii or couplings, ascending, and at each what `values` gives of every network's rows."""
    radii = findings.radii(table, x)
    return [place for place, _ in radii], [np.array([values(part) for part in _fullest(rows)]) for _, rows in radii]


def _directions(table):
    """How many exponents a network has: one for each dimension of its state, a pair in an LSTM."""
    return (2 if table.one("cell") == "lstm" else 1) * int(table.one("hidden"))


def _intervals(samples):
    """Means and half intervals of samples at several places."""
    return np.transpose([student.interval(values) for values in samples])


def _bars(axes, place, samples, **look):
    """Points with intervals; a single sample has none."""
    middle, half = _intervals(samples)
    axes.errorbar(place, middle, yerr=np.where(np.isfinite(half), half, 0.0), elinewidth=style.stroke(0.7),
                  zorder=3, **look)
    return middle


# --- spectrum -------------------------------------------------------------------------------------

def _known(arrays):
    """Of the arrays of several networks [.., k] those with the most directions that any has. Networks whose
    state is not finite have NaN, and are left out unless all are."""
    most = max(array.shape[-1] for array in arrays)
    longest = [array for array in arrays if array.shape[-1] == most]
    return np.array([array for array in longest if not np.isnan(array.reshape(-1, most)[0]).any()] or longest)


def _draw_spectra(axes, spectra, looks, every):
    for found, look in zip(spectra, looks, strict=True):
        place = np.arange(1, found.shape[2] + 1) / every
        exponents, predicted = finite(found[:, 0]), finite(found[:, 1])
        mark = "o" if found.shape[2] == 1 else "None"
        axes.fill_between(place, exponents.min(axis=0), exponents.max(axis=0), color=look, alpha=0.2, linewidth=0)
        axes.plot(place, exponents.mean(axis=0), marker=mark, color=look, zorder=2.5)
        axes.plot(place, predicted.mean(axis=0), color=style.THEORY, linestyle="--", linewidth=style.stroke(0.8),
                  zorder=3)
    zero_line(axes)


SMALL = 0.2  # of the axes' height: less is enlarged
INSET = (0.14, 0.1, 0.42)  # left, bottom and width of the enlarged part
GAP = 0.06  # above it


def _enlarge(axes, spectra, looks, every):
    """The exponents above 0 once more, below the curves, where they are small beside the others and there is
    room."""
    exponents = [finite(found[:, 0]).max(axis=0) for found in spectra]
    above = max(int((values > 0.0).sum()) for values in exponents)
    low, high = axes.get_ylim()
    if above < 2 or high > SMALL * (high - low):
        return
    left, bottom, width = INSET
    reach = max(2, int((left + width) * every))
    least = min(np.nanmin(finite(found[:, 0, :reach])) for found in spectra)
    top = (least - low) / (high - low) - GAP
    if top - bottom < width:
        return
    largest = max(np.nanmax(values) for values in exponents)
    inset = axes.inset_axes((left, bottom, width, top - bottom))
    _draw_spectra(inset, spectra, looks, every)
    inset.set(xlim=(0.0, 1.5 * above / every), ylim=(-0.6 * largest, 1.1 * largest))
    inset.tick_params(labelsize="x-small")
    inset.xaxis.set_major_locator(MaxNLocator(nbins=3))
    inset.yaxis.set_major_locator(MaxNLocator(nbins=4))


def spectrum(axes, lyapunov):
    radii = findings.radii(lyapunov)
    spectra = [_known([part.curves[0] for part in _fullest(rows)]) for _, rows in radii]
    if not any(np.isfinite(found[:, 0]).any() for found in spectra):
        raise Absent("no exponent is finite")
    colours = radius_colours([radius for radius, _ in radii])
    every = _directions(lyapunov)
    looks = [colours.to_rgba(radius) for radius, _ in radii]
    _draw_spectra(axes, spectra, looks, every)
    axes.set_xlim(padded(np.array([1, max(found.shape[2] for found in spectra)]) / every, 0.02))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))  # the same at any height
    _enlarge(axes, spectra, looks, every)
    name = r"i\,/\,2H" if every > int(lyapunov.one("hidden")) else r"i\,/H"
    axes.set(xlabel="order of the exponent, " + formula(name),
             ylabel="exponent " + formula(r"\lambda_i") + ", nats per step")
    if len(radii) > 1:
        radius_bar([axes], colours)


# --- lyapunov -------------------------------------------------------------------------------------

LOWER = 0.4  # height of the lower axes in that of the upper ones


def _with_rates(summary, seeds, x):
    """Places, and at each [networks, 2]: the largest exponent, and minus the decay rate."""
    rates = findings.decay_rates(seeds)
    return _by_radius(summary, x, lambda part: findings.beside_rates(part, rates)[0])


def lyapunov(axes, summary, seeds, x="rho"):
    place, pairs = _with_rates(summary, seeds, x)
    if not np.isfinite(np.concatenate(pairs)).any():
        raise Absent("no network has both a largest exponent and a decay rate")
    rate, rate_half = _intervals([values[:, 1] for values in pairs])
    axes.fill_between(place, rate - rate_half, rate + rate_half, color=style.REFERENCE, alpha=0.2, linewidth=0)
    axes.plot(place, rate, color=style.REFERENCE, linewidth=style.stroke(1.2), zorder=2.5)
    largest = _bars(axes, place, [values[:, 0] for values in pairs], fmt="o", color=style.MEASURED,
                    markerfacecolor="white", capsize=style.stroke(1.5))
    _, below = stacked(axes, (1.0, LOWER))
    _bars(below, place, [values[:, 0] - values[:, 1] for values in pairs], fmt="o", color=style.MEASURED,
          markerfacecolor="white", capsize=style.stroke(1.5))
    axes.set(ylabel="nats per step", xlim=padded(place))
    below.set(xlabel=OVER[x], ylabel="difference")
    low, high = below.get_ylim()
    below.set_ylim(min(low, -0.1 * (high - low)), max(high, 0.1 * (high - low)))
    below.yaxis.set_major_locator(MaxNLocator(nbins=4))
    for one in (axes, below):
        zero_line(one)

    between = np.linspace(place[0], place[-1], 201)  # radii, so that a name leads to no circle

    def finish():
        name_line(axes, "minus the decay rate", between, np.interp(between, place, rate), at=0.27,
                  color=style.REFERENCE)
        name_line(axes, "largest exponent", place, largest, at=0.75, color=style.MEASURED)
    return finish


# --- dimension ------------------------------------------------------------------------------------

# N = 4096, undriven tanh, one network at each g: per unit, from the data of davidclark1/rnn-lyapunov.
LARGE = {"g": (1.5, 2.0, 3.0, 5.0), "kaplan_yorke": (0.16511, 0.25659, 0.28717, 0.24594),
         "entropy_rate": (0.002773, 0.010608, 0.025106, 0.038912)}
_OF_LARGE = {"cell": "tanh", "ensemble": "gaussian", "leak": "1", "input": "zero", "model_digest": ""}
MOST_NAMES = 5  # of sizes at the right of a picture


def is_of_large(table):
    """Whether the networks are of the kind whose values at N = 4096 are known."""
    return all(table.one(name) == value for name, value in _OF_LARGE.items()) and table.one("h0") != "zero"


def _per_unit(axes, summary, column, x):
    """Points of every size. Returns their names (places.name_ends), and whether there are any."""
    ends = []
    parts = sorted(summary.split(("hidden",)), key=lambda part: int(part.one("hidden")))
    for at, (part, grey) in enumerate(zip(parts, style.size_greys(len(parts)), strict=True)):
        hidden = int(part.one("hidden"))
        place, samples = _by_radius(part, x, lambda one, hidden=hidden: one.numbers(column)[0] / hidden)
        middle = _bars(axes, place, samples, color=grey, marker=style.MARKERS[at % len(style.MARKERS)])
        ends += end_of(place, middle, formula(f"H={hidden}"), {"color": letters(grey)})
    return ends


def has_dimensions(summary):
    return np.isfinite(summary.numbers("kaplan_yorke")).any()


def dimension(axes, summary, x="g"):
    places = summary.numbers(x)
    known = is_of_large(summary) and x == "g"
    left, right = padded(places)
    every = stacked(axes, [PANEL] * 2)
    names = [(column, _per_unit(one, summary, column, x)) for one, column in
             zip(every, ("kaplan_yorke", "entropy_rate"), strict=True)]
    if not any(ends for _, ends in names):
        raise Absent("too few directions: neither a dimension nor an entropy rate is known")
    large = [(g, at) for at, g in enumerate(LARGE["g"]) if known and left < g < right]
    for one, (column, ends) in zip(every, names, strict=True):
        if large:
            one.plot([g for g, _ in large], [LARGE[column][at] for _, at in large], linestyle="None", marker="D",
                     markersize=style.stroke(5.0), markerfacecolor="none", color=style.THEORY,
                     markeredgewidth=style.stroke(1.0), zorder=3.5)
        low, high = one.get_ylim()
        one.set_ylim(min(low, -0.04 * high), high + 0.04 * (high - low))
        if summary.varies("hidden"):
            name_ends(one, evenly(ends, MOST_NAMES), "small")
    every[0].set_ylabel("dimension " + formula(r"D_{KY}\,/H"))
    every[1].set(ylabel="entropy rate " + formula("/H") + ",\nnats per step", xlabel=OVER[x], xlim=(left, right))

    def finish():
        if large:
            g, at = large[-1]
            words = formula("N=4096")
            for one, (column, _) in zip(every, names, strict=True):
                name_line(one, words, [g], [LARGE[column][at]], at=0.0, color=style.THEORY_TEXT)
    return finish


# --- singular -------------------------------------------------------------------------------------

RADII = 3  # that have a panel each
# Parts of the singular values, from the largest on, and their names.
_RANKS = ((0.0, "largest"), (0.1, "10%"), (0.5, "50%"), (0.9, "90%"), (1.0, "smallest"))


def root_mean_square(logs):
    """log10 of the root mean square of singular values, of log10 of each [..., n]."""
    top = logs.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return (shift + 0.5 * np.log10(np.mean(10.0 ** (2.0 * (logs - shift)), axis=-1, keepdims=True)))[..., 0]


def _over_times(rows):
    """Times, ascending, and means over seeds of log10 at each: of the ranks, and of the root mean square."""
    times = sorted({int(at) for at in rows.text("at")})
    found = {at: [] for at in times}
    for part in _fullest(rows):
        for at, logs in zip(part.text("at"), part.curves, strict=True):
            found[int(at)].append(logs)
    means = []
    for at in times:
        logs = _known(found[at])
        ranks = [round(part * (logs.shape[1] - 1)) for part, _ in _RANKS]
        means.append([*logs[:, ranks].mean(axis=0), root_mean_square(logs).mean()])
    return np.array(times), finite(np.array(means)).T


def has_times(singular):
    return singular.varies("at")


def singular(axes, singular):
    if not has_times(singular):
        raise Absent("needs singular values at more than one T")
    chosen = evenly(findings.radii(singular), RADII)[::-1]
    every = panels(axes, len(chosen))
    colours = radius_colours(singular.numbers("rho"))
    ends = []
    for one, (radius, rows) in zip(every, chosen, strict=True):
        times, means = _over_times(rows)
        colour = colours.to_rgba(radius)
        one.fill_between(times, means[0], means[len(_RANKS) - 1], color=colour, alpha=0.13, linewidth=0)
        names = []
        for at, (_, words) in enumerate(_RANKS):
            one.plot(times, means[at], color=colour, zorder=2.5, marker="o", markersize=style.stroke(1.6))
            names += end_of(times, means[at], words, {"color": style.REFERENCE})
        one.plot(times, means[-1], color=style.MEASURED, linestyle="--", linewidth=style.stroke(1.2), zorder=3)
        names += end_of(times, means[-1], "rms", {"color": style.MEASURED})
        ends.append(names)
    every[-1].set_xlabel("steps " + formula("T") + " of the product " + formula(r"J_T\cdots J_1"))
    for one, names in zip(every, ends, strict=True):
        power_axis(one.yaxis)
        one.margins(x=0.0)
        one.set_ylabel("singular value")
        name_ends(one, names)

    def finish():
        for one, (_, rows) in zip(every, chosen, strict=True):
            write_where_free(one, findings.radius_asked(rows), (0.1, 0.1))
    return finish
