"""What was swept, on what, and what came out: sentences made from the tables."""

import math

import numpy as np

from . import findings, rounding
from .findings import number
from .headlines import both_stars, by_size, point_of, ranges, span, star
from .table import CELL, FAMILY, NETWORK, OF_CELLS

def _count(n, what):
    return f"{n} {what}" + ("" if n == 1 else "s")


def _settings(decay):
    """Of the cells, where there are several."""
    told = [f"{findings.name_of(column)} {', '.join(sorted(values, key=findings.setting_order))}"
            for column in OF_CELLS if len(values := decay.values(column)) > 1]
    return f" Cells differ in {'; '.join(told)}." if told else ""


def _gated(decay):
    """What a radius and a gradient are, of cells with gates."""
    if findings.GATES.keys().isdisjoint(decay.text("cell")):
        return ""
    pair = " The gradient of an LSTM is that of the pair (h, c)." if "lstm" in decay.text("cell") else ""
    return f" ρ of a cell with gates is the spectral radius of its candidate's block.{pair}"


def swept(decay):
    """One sentence on the plan."""
    radii = sorted(set(decay.numbers("rho").round(6)))
    kinds = ", ".join(dict.fromkeys(findings.kind(part).replace(", ", " ")
                                    for part in decay.split(("cell", "ensemble", "model"))))
    return (f"{kinds}; {findings.units(decay)}, {findings.units(decay, 'steps')}, "
            f"{_count(len(set(decay.text('rho_asked'))), 'spectral radius').replace('radiuss', 'radii')}"
            f" from {number(radii[0], 4)} to {number(radii[-1], 4)}, {findings.seeds(decay)} each."
            + _settings(decay) + _gated(decay))


def ran(runs):
    """One sentence for each machine and version."""
    for part in runs.split(("device", "engine", "host", "version", "git_commit")):
        points = sum(int(cell) for cell in part.text("points"))
        yield (f"{_count(points, 'point')} (a point is one network at one radius) in "
               f"{_count(len(part), 'run')} by rhosweep {part.one('version')} "
               f"({part.one('git_commit')}) with engine {part.one('engine')} on "
               f"{part.one('device') or 'an unnamed device'}.")


def _crossing(point):
    return "" if point is None else f" The decay rate crosses 0 at {both_stars(point)}."


def _half_clipped(clip):
    """Where one threshold clips more than half of the networks."""
    radii = [radius for radius, _ in findings.radii(clip)]
    least, greatest = radii[0], radii[-1]
    ranges = findings.clipped_ranges(clip)
    if least < greatest and ranges == [(least, greatest)]:
        return "at every radius"
    told = [f"from ρ = {number(first)} on" if first < last == greatest else span(first, last)
            for first, last in ranges]
    return ", ".join(told) or "at no radius"


def _vanishing(alone, total):
    """What becomes of gradients that vanish."""
    if not total:
        return ""
    if not alone:
        return "; where they vanish, it makes them smaller still"
    if alone == total:
        return "; where they vanish, it leaves them as they are"
    return f"; where they vanish, it leaves {alone} of {total} as they are, and makes the others " \
        "smaller still"


def _clipping(clip, decay):
    """What each threshold does."""
    for part in findings.thresholds(clip):
        told = (f" Clipping at {part.one('max_norm')} scales down more than half of the networks' "
                f"gradients {_half_clipped(part)}")
        yield told + _vanishing(*findings.left_alone(part, decay)) + "."


def _most(values):
    """The largest of the finite sizes; NaN where none is."""
    known = np.abs(values[np.isfinite(values)])
    return known.max() if len(known) else np.nan


def _exponents(spectra, seeds):
    """How two checks come out: exponents beside decay rates, and spectra beside determinants."""
    pairs = findings.beside_rates(spectra, findings.decay_rates(seeds))
    apart, left = _most(pairs[:, 0] - pairs[:, 1]), _most(spectra.numbers("sum_rule_residual"))
    if np.isfinite(apart):
        yield (" The largest Lyapunov exponents and minus the decay rates differ by at most "
               f"{number(apart, 2)} nats per step.")
    if np.isfinite(left):
        yield f" Spectra obey the sum rule to {number(left, 2)}."


def _has_several_cells(group):
    return len(group.split(CELL)) > 1


def _told_side_by_side(decay):
    """Cells with gates or a leak at one radius, which would need a heading for a word."""
    for group in decay.split([column for column in NETWORK if column not in CELL]):
        if _has_several_cells(group) and not group.varies("rho_asked"):
            yield from (part for part in group.split(CELL) if part.one("leak") != "1")


def _by_network(table):
    return {findings.key(part, NETWORK): part for part in table.split(NETWORK)} if len(table) else {}


def came_out(decay, found, clip=(), spectra=(), seeds=()):
    """(heading, sentences): what happens to gradients, one line a network; `found` is of
    headlines.points(), `spectra` the table lyapunov-summary."""
    clips, exponents = _by_network(clip), _by_network(spectra)
    rates = _by_network(seeds) if exponents else {}
    told = set() if clips else {findings.key(part, NETWORK) for part in _told_side_by_side(decay)}
    for family in decay.split(FAMILY):
        parts = [part for part in family.split(NETWORK) if findings.key(part, NETWORK) not in told]
        lines = []
        for part in by_size(parts):
            lines.append(f"H = {part.one('hidden')}: gradients {ranges(part)}."
                         f"{_crossing(point_of(part, found))}")
            key = findings.key(part, NETWORK)
            if key in clips:
                lines[-1] += "".join(_clipping(clips[key], part))
            if key in exponents and key in rates:
                lines[-1] += "".join(_exponents(exponents[key], rates[key]))
        if lines:
            yield findings.describe(family).replace("\n", "; "), lines


def _crossings(group, found):
    """Where the rate of each cell crosses 0."""
    told = []
    for part in findings.variants(group):
        point = point_of(part, found)
        place = f"at ρ = {star(point, 'rho')}" if point else "at no radius"
        told.append(f"{place} for {findings.variant(part, group)}")
    yield f"H = {group.one('hidden')}: the decay rate crosses 0 {'; '.join(told)}."


def _rates(group, _found):
    """The rate of each cell at the only radius, and how far that carries a gradient."""
    for part in findings.variants(group):
        rate, half = (part.numbers(name)[0] for name in ("decay_rate", "decay_rate_ci95"))
        told = f"{rounding.with_half(rate, half) if half > 0.0 else number(rate, 4)} nats per step"
        if part.one("regime") == "vanishing":
            steps = math.log(1000.0) / rate
            told += f", {number(steps) if steps < 100 else round(steps)} steps to 1e-3 of the start"
        yield (f"H = {group.one('hidden')}, {findings.radius_asked(group)}, "
               f"{findings.variant(part, group)}: decay rate {told}.")


def side_by_side(decay, found):
    """(heading, sentences): what sets the cells apart; `found` is of headlines.points()."""
    for family in decay.split([column for column in FAMILY if column not in CELL]):
        lines = [line for group in by_size(family.split(("hidden",))) if _has_several_cells(group)
                 for line in (_crossings if group.varies("rho_asked") else _rates)(group, found)]
        if lines:
            yield "Cells side by side: " + findings.describe(family).replace("\n", "; "), lines
