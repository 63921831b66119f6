"""What was swept, on what, and what came out: sentences made from the tables."""

from . import findings
from .findings import number
from .table import FAMILY, NETWORK

_VERB = {"vanishing": "vanish", "exploding": "explode", "steady": "keep their norm",
         "mixed": "stay between the two (the 95% interval holds 0)"}


def _count(n, what):
    return f"{n} {what}" + ("" if n == 1 else "s")


def swept(decay):
    """One sentence on the plan."""
    radii = sorted(set(decay.numbers("rho").round(6)))
    kinds = ", ".join(dict.fromkeys(findings.kind(part).replace(", ", " ")
                                    for part in decay.split(("cell", "ensemble", "model"))))
    return (f"{kinds}; {findings.units(decay)}, {findings.units(decay, 'steps')}, "
            f"{_count(len(set(decay.text('rho_asked'))), 'spectral radius').replace('radiuss', 'radii')}"
            f" from {number(radii[0], 4)} to {number(radii[-1], 4)}, {findings.seeds(decay)} each.")


def ran(runs):
    """One sentence for each machine and version."""
    for part in runs.split(("device", "engine", "host", "version", "git_commit")):
        points = sum(int(cell) for cell in part.text("points"))
        yield (f"{_count(points, 'point')} (a point is one network at one radius) in "
               f"{_count(len(part), 'run')} by rhosweep {part.one('version')} "
               f"({part.one('git_commit')}) with engine {part.one('engine')} on "
               f"{part.one('device') or 'an unnamed device'}.")


def _span(first, last):
    return f"at ρ = {number(first)}" if first == last else \
        f"from ρ = {number(first)} to {number(last)}"


def _ranges(decay):
    told = [f"{_VERB.get(regime, 'have no rate')} {_span(first, last)}"
            for regime, first, last in findings.regimes(decay)]
    return ", ".join(told)


def _crossing(decay):
    order = findings.by_radius(decay)
    rate = decay.numbers("decay_rate")[order]
    radius, coupling = (findings.critical_radius(decay.numbers(column)[order], rate)
                        for column in ("rho", "g"))
    if radius is None:
        return ""
    return f" The decay rate crosses 0 at ρ = {number(radius, 4)} (g = {number(coupling, 4)})."


def _half_clipped(clip):
    """Where one threshold clips more than half of the networks."""
    least, *_, greatest = (radius for radius, _ in findings.radii(clip))
    ranges = findings.clipped_ranges(clip)
    if ranges == [(least, greatest)]:
        return "at every radius"
    told = [f"from ρ = {number(first)} on" if first < last == greatest else _span(first, last)
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


def came_out(decay, clip=()):
    """(heading, sentences): what happens to gradients, one line a network."""
    clips = {findings.key(part, NETWORK): part for part in clip.split(NETWORK)} if len(clip) else {}
    for family in decay.split(FAMILY):
        lines = []
        for part in sorted(family.split(NETWORK), key=lambda one: int(one.one("hidden"))):
            lines.append(f"H = {part.one('hidden')}: gradients {_ranges(part)}.{_crossing(part)}")
            if findings.key(part, NETWORK) in clips:
                lines[-1] += "".join(_clipping(clips[findings.key(part, NETWORK)], part))
        yield findings.describe(family).replace("\n", "; "), lines
