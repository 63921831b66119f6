"""Figures that set cells and their settings side by side, from the tables decay and profile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import findings, style
from ..table import CELL
from ..text import math as formula
from .drawing import (
    BACK,
    OVER,
    RATE,
    Absent,
    end_of,
    legend_below,
    mark_levels,
    name_regions,
    named_ticks,
    padded,
    panels,
    power_axis,
    quantile_band,
    radius_bar,
    radius_colours,
    range_ends_log10,
    tint_regions,
    value_ticks,
    zero_line,
)
from .flow import name_laws, need_rates, ordered, predictions, rate_limits
from .places import name_ends, name_line


def has_several_cells(table):
    """Or several settings of one."""
    return any(len(table.values(column)) > 1 for column in CELL)


def has_cells_at_one_radius(profile):
    return has_several_cells(profile) and not profile.varies("rho_asked")


def has_several(column):
    return lambda decay: len(decay.values(column)) > 1


def _need_several_cells(table):
    if not has_several_cells(table):
        raise Absent("needs several cells, or several settings of one")


def _look(at):
    """Of series number `at`, without green, which is theory's."""
    return style.series(at + (at + 3) // 6)


def _laid_out(axes, table):
    """(axes, part, look, name) for each cell and its settings: all in the same axes or, where a cell
    has several settings, each cell in its own; there the same settings look the same."""
    parts = findings.variants(table)
    cells = list(dict.fromkeys(map(findings.cell, parts)))
    if len(cells) == len(parts):
        return [(axes, part, _look(at), findings.cell(part)) for at, part in enumerate(parts)]
    own = dict(zip(cells, panels(axes, len(cells)), strict=True))
    settings = [findings.settings_of(part, table) for part in parts]
    at = {told: place for place, told in enumerate(dict.fromkeys(settings))}
    return [(own[findings.cell(part)], part, _look(at[told]), told or findings.cell(part))
            for part, told in zip(parts, settings, strict=True)]


def _name_axes(laid_out, whole, of_one):
    """Labels of the y axes: a panel's with its cell."""
    every = {own: findings.cell(part) for own, part, *_ in laid_out}
    for own, name in every.items():
        own.set_ylabel(whole if len(every) == 1 else f"{name}: {of_one}")
    return list(every)


# --- cells ----------------------------------------------------------------------------------------

def _over_radii(axes, decay, x):
    """Names are at the ends of lines, or in a legend that panels share; returns what names the laws."""
    laid_out = _laid_out(axes, decay)
    laws, ends = {}, []
    for own, part, look, name in laid_out:
        place, value, half = ordered(part, x, "decay_rate", "decay_rate_ci95")
        own.fill_between(place, value - half, value + half, color=look["color"], alpha=0.2, linewidth=0)
        own.plot(place, value, label=name, markerfacecolor="white", zorder=3, **look)
        laws |= predictions(own, part, x, style.THEORY)
        ends += end_of(place, value, name, {"color": look["color"]})
    every = _name_axes(laid_out, RATE, "nats per step")
    for own in every:
        own.set(xlim=padded(decay.numbers(x)), ylim=rate_limits(decay))
        zero_line(own)
        tint_regions(own)
    every[-1].set_xlabel(OVER[x])
    if len(every) == 1:
        name_ends(axes, ends, "small")
    else:
        legend_below(axes)

    def place():
        name_laws(laws)
        name_regions(axes)
    return place


ROOM = 6  # rows of names that a figure's height has room for


def _at_one_radius(axes, decay):
    """A row for each cell and its settings."""
    parts = findings.variants(decay)
    cells = list(dict.fromkeys(map(findings.cell, parts)))
    axes.figure.set_figheight(axes.figure.get_figheight() * (0.5 + 0.5 * max(1.0, len(parts) / ROOM)))
    for place, part in enumerate(parts):
        look = _look(cells.index(findings.cell(part))) | {"linestyle": "none"}
        value, half = (part.numbers(name)[0] for name in ("decay_rate", "decay_rate_ci95"))
        axes.errorbar([value], [place], xerr=[half if np.isfinite(half) else 0.0], capsize=2.0,
                      markerfacecolor="white", **look)
    axes.axvline(0.0, color="#000000", linewidth=style.stroke(0.7), zorder=1.6)
    axes.set_xlim(rate_limits(decay))
    tint_regions(axes, "x")
    axes.set_yticks(range(len(parts)), [findings.variant(part, decay) for part in parts])
    axes.set(xlabel=RATE, ylim=(len(parts) - 0.5, -0.5))
    return lambda: name_regions(axes, "x")


def cells(axes, decay, x="rho"):
    need_rates(decay)
    _need_several_cells(decay)
    return _over_radii(axes, decay, x) if decay.varies("rho_asked") else _at_one_radius(axes, decay)


# --- cell-profiles --------------------------------------------------------------------------------

MARKS = 8  # on a line, to tell it from others


def cell_profiles(axes, profile):
    _need_several_cells(profile)
    if profile.varies("rho_asked"):
        raise Absent("needs one radius for all")
    laid_out = _laid_out(axes, profile)
    ends = []
    for own, part, look, name in laid_out:
        ((_, values),) = findings.curves(part)
        back = values.T[::-1]  # steps back, seeds
        look = look | {"markevery": max(1, len(back) // MARKS)}
        last = quantile_band(own, np.arange(len(back)), back, look, name)
        ends += [(last, name, {"color": look["color"], "fontsize": "small"})] if np.isfinite(last) else []
    if not ends:
        raise Absent("no norm is finite and above 0")
    every = _name_axes(laid_out, "norm of the gradient", "norm")
    for own in every:
        power_axis(own.yaxis)
        own.margins(x=0)
        mark_levels(own, range_ends_log10(int(profile.one("hidden"))), ends if len(every) == 1 else ())
    every[-1].set_xlabel(BACK)
    if len(every) > 1:
        legend_below(axes)


# --- gate-bias, leak ------------------------------------------------------------------------------

@dataclass(frozen=True)
class _Setting:
    label: str  # of the x axis
    law: Callable  # the decay rate without W_hh
    words: str  # for the law


_SETTINGS = {
    "gate_bias": _Setting("bias " + formula("b") + " of the memory gate",
                          lambda bias: np.logaddexp(0.0, -bias),
                          "gate alone: " + formula(r"-\ln\,\sigma(b)")),
    "leak": _Setting("leak " + formula("A"), lambda leak: -np.log1p(-leak),
                     "leak alone: " + formula(r"-\ln(1-A)")),
}
WORD = 0.18  # room for a word on the x axis


def _is_number(text):
    return findings.setting_order(text)[0] == ""


def _places(texts):
    """Text to its place on the x axis: numbers where they are, words to the right of them."""
    numbers = [float(text) for text in texts if _is_number(text)]
    words = sorted((text for text in texts if not _is_number(text)), key=findings.setting_order)
    for_numbers = max(1.0 - WORD * len(words), WORD)
    room = WORD / for_numbers * float(np.ptp(numbers or [0.0])) or 1.0
    places = {word: max(numbers, default=0.0) + room * at for at, word in enumerate(words, start=1)}
    return {text: places[text] if text in places else float(text) for text in texts}


def _draw_law(axes, setting, numbers):
    """Returns the line; None where no number has a rate."""
    with np.errstate(divide="ignore"):
        ends = [value for value in numbers if np.isfinite(setting.law(value))]
    if not ends:
        return None
    along = np.linspace(min(ends), max(ends), 200)
    (line,) = axes.plot(along, setting.law(along), color=style.THEORY, linewidth=style.stroke(0.9),
                        zorder=2.5, label=setting.words)
    return line


def _draw_rates(axes, rows, column, places, look, label, aside=0.0):
    """The rates of one cell at one radius. Words are filled marks, `aside` of their place, and no part of
    the line. Returns the line, of the words where there are no numbers."""
    texts = rows.text(column)
    order = sorted(range(len(rows)), key=lambda at: places[texts[at]])
    lines = []
    for numbers in (True, False):
        chosen = [at for at in order if _is_number(texts[at]) == numbers]
        value, half = (rows.numbers(name)[chosen] for name in ("decay_rate", "decay_rate_ci95"))
        if chosen:
            how = look if numbers else look | {"linestyle": "none"}
            where = np.array([places[texts[at]] for at in chosen])
            lines.append(axes.errorbar(where if numbers else where + aside, value,
                                       yerr=np.where(np.isfinite(half), half, 0.0), capsize=1.5, label=label,
                                       markerfacecolor="white" if numbers else look["color"], **how)[0])
    return lines[0]


def _tick(text):
    return text.replace(":", "\n").replace("-", "−")


def _scale(axes, column, places):
    """The x axis: leaks are fractions, which a logarithmic one spreads."""
    axes.set_xlabel(_SETTINGS[column].label)
    if column == "leak":
        axes.set_xscale("log")
        value_ticks(axes, places.values())
    else:
        named_ticks(axes, {place: _tick(text) for text, place in places.items()})


def against(column):
    def draw(axes, decay):
        need_rates(decay)
        if not has_several(column)(decay):
            raise Absent(f"needs several values of {findings.name_of(column)}")
        places = _places(decay.values(column))
        radii = [radius for radius, _ in findings.radii(decay)]
        draw_cells = _by_radius if len(radii) > 1 else _by_cell
        every, names = draw_cells(axes, decay, column, places, radii)
        numbers = [places[text] for text in places if _is_number(text)]
        laws = [_draw_law(own, _SETTINGS[column], numbers) for own in every]
        for own in every:
            zero_line(own)
            tint_regions(own)
        _scale(every[-1], column, places)

        def place():
            for words, line in names:
                name_line(line.axes, words, *line.get_data(), at=0.6, color=line.get_color())
            if laws[0]:
                name_line(axes, _SETTINGS[column].words, *laws[0].get_data(), at=0.3, color=style.THEORY_TEXT)
            name_regions(axes)
        return place
    return draw


def _by_cell(axes, decay, column, places, _radii):
    """Returns the axes, and names with their lines."""
    cells = findings.variants(decay, ("cell",))
    apart = 0.2 * WORD * (max(places.values()) - min(places.values()))
    names = [(findings.cell(part), _draw_rates(axes, part, column, places, _look(at), findings.cell(part),
                                               apart * (at - 0.5 * (len(cells) - 1))))
             for at, part in enumerate(cells)]
    axes.set(ylabel=RATE)
    return [axes], names


def _by_radius(axes, decay, column, places, radii):
    """A panel for each cell, and a line for each radius, which a bar of colours names."""
    cells = findings.variants(decay, ("cell",))
    colours = radius_colours(radii)
    every = panels(axes, len(cells))
    for own, part in zip(every, cells, strict=True):
        for radius, rows in findings.radii(part):
            look = {"color": colours.to_rgba(radius), "marker": "o"}
            _draw_rates(own, rows, column, places, look, "")
    _name_axes(list(zip(every, cells, strict=True)), RATE, "nats per step")
    radius_bar(every, colours)
    return every, []
