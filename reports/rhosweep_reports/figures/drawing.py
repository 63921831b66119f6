"""What several figures share."""

from matplotlib.ticker import MaxNLocator, NullFormatter

from .. import style


class Absent(Exception):
    """The rows at hand do not make this figure; says why."""


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def power_text(exponent, _position=None):
    """10 to the power of a whole number, without a formula: fast, and all in one font."""
    return "10" + f"{exponent:.0f}".translate(_SUPERSCRIPT)


def power_axis(axis):
    """An axis of log10 values, labelled as powers of ten."""
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 3, 5, 10]))
    axis.set_major_formatter(power_text)


def number_axis(axis):
    """A logarithmic axis labelled with plain numbers."""
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def legend_below(axes, columns=2):
    """Under the axes, where it covers no data; left out where it would name nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def mark_levels(axes, levels, above):
    """Dotted lines at `levels` [(value, name)] as far as they are in view, with their names at the
    right, above or below the line. Lines too close to be named apart share a name."""
    low, high = axes.get_ylim()
    sign = 1.0 if above else -1.0
    groups = []
    for value, name in sorted(levels, key=lambda level: sign * level[0]):
        if not low < value < high:
            continue
        axes.axhline(value, color=style.REFERENCE, linestyle=":", linewidth=0.8, zorder=1.5)
        if groups and abs(value - groups[-1][0]) < 0.09 * (high - low):
            groups[-1] = (value, [*groups[-1][1], name])
        else:
            groups.append((value, [name]))
    for value, names in groups:
        text = axes.annotate(
            f"{', '.join(names)} → {'∞' if above else '0'}", (1.0, value), (-2, 1.5 * sign),
            xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
            va="bottom" if above else "top", color="#333333", fontsize="x-small",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4})
        text.set_in_layout(False)
