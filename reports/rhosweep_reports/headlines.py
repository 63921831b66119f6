"""The sentences one quotes: where gradients turn from vanishing to exploding, how surely, and what theory
says. Every number is one of the tables decay and critical."""

from . import findings
from .findings import bounded, number
from .rounding import between
from .table import FAMILY, NETWORK

_IN_THE_SUBJECT = ("cell", "ensemble", "model", "model_digest")
_NAMES = {"steps": "T =", "batch": "B ="}
MANY = 3  # inputs, beyond which one sentence tells the first and the last


def by_size(parts):
    return sorted(parts, key=lambda part: int(part.one("hidden")))


def points(critical):
    """The row of each network that has a critical radius, by what tells networks apart."""
    parts = critical.split(NETWORK) if len(critical) else []
    return {findings.key(part, NETWORK): part for part in parts if part.one("rho_critical")}


def point_of(network, found):
    return found.get(findings.key(network, NETWORK))


def _critical(point, name):
    """The critical rho or g, and the ends of its interval."""
    return [point.numbers(f"{name}_critical{end}")[0] for end in ("", "_ci95_low", "_ci95_high")]


def star(point, name):
    """In words."""
    return bounded(*_critical(point, name))


def both_stars(point):
    """ "g* = 1.5574 ± 0.0018 (ρ* = 1.609 [1.588, 1.636])"; of normal matrices the two are one."""
    g, rho = star(point, "g"), star(point, "rho")
    return f"g* = ρ* = {g}" if g == rho else f"g* = {g} (ρ* = {rho})"


def _subject(family, whole, but=()):
    """The networks, and how they differ from others of the report, `but` for some columns."""
    model = family.one("model")
    name = f"{findings.cell(family)} networks"
    name = f"{name} of {model}" if model else f"{family.one('ensemble').capitalize()} {name}"
    told = [f"{_NAMES.get(column, findings.name_of(column))} {family.one(column)}" for column in FAMILY
            if column not in (*_IN_THE_SUBJECT, *but) and findings.differs(column, family, whole)]
    return f"{name} ({', '.join(told)})" if told else name


def _theory(point, network):
    if not point.one("g_predicted"):
        return ""
    law = "mean field" if "mean field" in network.text("prediction") else "theory"
    predicted = between(*_critical(point, "g")).whole(point.numbers("g_predicted")[0])
    return f"; {law}, for H → ∞: g* = {predicted}"


def _turn(networks):
    """What gradients do at the critical point, if it is more than a change of sign."""
    full = all({"vanishing", "exploding"} <= {*network.text("regime")} for network in networks)
    return "turn from vanishing to exploding" if full else "begin to grow"


def _crosses(family, whole, found):
    """Of the largest network with a critical radius; and how far the smallest is from it."""
    networks = [part for part in by_size(family.split(("hidden",))) if point_of(part, found)]
    smallest, largest = networks[0], networks[-1]
    point = point_of(largest, found)
    told = (f"{_subject(family, whole)}: gradients {_turn([largest])} at {both_stars(point)}, "
            f"H = {largest.one('hidden')}{_theory(point, largest)}.")
    if smallest is not largest:
        told += f" At H = {smallest.one('hidden')}, g* = {star(point_of(smallest, found), 'g')}."
    return told


def _stays(family, whole):
    """Of networks without a critical radius."""
    largest = by_size(family.split(("hidden",)))[-1]
    radii = [radius for radius, _ in findings.radii(largest)]
    classes = {*family.text("regime")}
    if "exploding" not in classes:
        what = f"gradients explode at no radius up to ρ = {number(radii[-1])}"
    elif "vanishing" not in classes:
        what = f"gradients vanish at no radius from ρ = {number(radii[0])} on"
    else:
        what = f"no critical radius from ρ = {number(radii[0])} to {number(radii[-1])}"
    return (f"{_subject(family, whole)}: {what}; at H = {largest.one('hidden')} they "
            f"{ranges(largest)}.")


def _over_inputs(families, whole, found):
    """One sentence of networks that differ in their input alone."""
    ordered = sorted(families, key=lambda family: findings.setting_order(family.one("input")))
    networks = [_largest_crossing(family, found) for family in ordered]
    first, last = networks[0], networks[-1]
    told = [f"g* = {star(point_of(network, found), 'g')} with input {network.one('input')}"
            f"{_theory(point_of(network, found), network)}" for network in (first, last)]
    return (f"{_subject(first, whole, but=('input',))}, H = {first.one('hidden')}: gradients "
            f"{_turn(networks)} at {told[0]}, and at {told[1]}. "
            f"The other {len(networks) - 2} inputs are in the table below.")


def _largest_crossing(family, found):
    return [part for part in by_size(family.split(("hidden",))) if point_of(part, found)][-1]


def _has_crossing(family, found):
    return any(point_of(part, found) for part in family.split(NETWORK))


def headlines(decay, found):
    """A sentence for each kind of network that was swept over radii; `found` is of points()."""
    others = tuple(column for column in FAMILY if column != "input")
    for group in decay.split(others):
        families = [family for family in group.split(FAMILY) if family.varies("rho_asked")]
        crossing = [family for family in families if _has_crossing(family, found)]
        if len(crossing) > MANY:
            yield _over_inputs(crossing, decay, found)
            families = [family for family in families if family not in crossing]
        for family in families:
            yield _crosses(family, decay, found) if family in crossing else _stays(family, decay)


# --- regimes --------------------------------------------------------------------------------------

_VERB = {"vanishing": "vanish", "exploding": "explode", "steady": "keep their norm",
         "mixed": "may do either (the 95% interval of the rate includes 0)"}


def _verb(regime, network):
    if regime == "slow":
        return f"change less than 1000-fold in {network.one('steps')} steps"
    return _VERB.get(regime, "have no rate")


def span(first, last):
    return f"at ρ = {number(first)}" if first == last else f"from ρ = {number(first)} to {number(last)}"


def ranges(network):
    """What gradients do, radius by radius."""
    return ", ".join(f"{_verb(regime, network)} {span(first, last)}"
                     for regime, first, last in findings.regimes(network))
