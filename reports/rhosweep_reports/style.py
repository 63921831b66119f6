"""How every figure looks: sizes, fonts, colours. The only file that knows.

One meaning a colour: blue vanishes, vermilion explodes, green is theory, black is measured or critical,
sizes are greys, darker is larger. Never colour alone: words, marks, dashes and order say it again in grey.
Other series have the colours of Okabe and Ito, in an order of falling contrast in grey. Radii are coloured
by cividis, whose lightness only rises.
"""

from dataclasses import dataclass

import matplotlib
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap

STYLES = ("paper", "talk")
WIDTHS = ("column", "page")
FONTS = ("sans", "serif")
TITLES = ("none", "short", "full")
AXES = ("rho", "g")


@dataclass(frozen=True)
class Look:
    """What a user chooses for all figures; see rhosweep report --help."""

    style: str = "paper"
    width: str = "column"
    font: str = "sans"
    title: str = "none"
    x: str = ""  # rho or g in figures over the radius; "" for what each has by itself


_INCHES = {"paper": {"column": 3.4, "page": 7.0}, "talk": {"column": 5.6, "page": 11.0}}
# For a slide that is as wide as a page of talk, and for half of one.
_POINTS = {"paper": {"column": 7.5, "page": 8.0}, "talk": {"column": 14.0, "page": 18.0}}
_HEIGHT = {"column": 0.82, "page": 0.48}  # of the width
# Fonts that come with matplotlib, and their formulas.
_FONTS = {"sans": ("DejaVu Sans", "dejavusans"), "serif": (["STIXGeneral", "DejaVu Serif"], "stix")}

VANISH, EXPLODE, THEORY, MEASURED = "#0072B2", "#D55E00", "#009E73", "#000000"
VANISH_TEXT, EXPLODE_TEXT, THEORY_TEXT = "#005A8E", "#A84300", "#00664A"  # dark enough for letters
DIVERGING = colormaps["RdBu_r"]  # blue below its middle, red above
SERIES = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# More than colours, and no multiple of their number: 77 series look different.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
REFERENCE = "#666666"
LEADER = "#9A9A9A"  # from a line's last mark to its name: no part of the line

# Without its last part, which is too pale for lines on white and on tints.
RADIUS = LinearSegmentedColormap.from_list(
    "radius", [colormaps["cividis"](0.58 * k / 255) for k in range(256)])


def size_greys(count):
    """Colours of sizes in ascending order: darker is larger, the largest black."""
    return [str(round(0.6 * at / max(1, count - 1), 3)) for at in reversed(range(count))]


def series(at):
    """Colour, marker and dash of series number `at`, as keywords of a plot."""
    return {"color": SERIES[at % len(SERIES)], "marker": MARKERS[at % len(MARKERS)],
            "linestyle": DASHES[at % len(DASHES)]}


def stroke(points):
    """A width of paper's lines in the style in use."""
    return points * matplotlib.rcParams["lines.linewidth"]


def size(look):
    """Width and height in inches of one pair of axes."""
    inches = _INCHES[look.style][look.width]
    return inches, inches * _HEIGHT[look.width]


def apply(look):
    """Sets matplotlib's defaults, whatever the user's own are."""
    points = _POINTS[look.style][look.width]
    bold = points / 8.0
    family, formulas = _FONTS[look.font]
    matplotlib.rcdefaults()
    matplotlib.rcParams.update({
        "font.family": family,
        "mathtext.fontset": formulas,
        "font.size": points,
        "axes.titlesize": 0.92 * points,
        "axes.labelsize": points,
        "xtick.labelsize": 0.9 * points,
        "ytick.labelsize": 0.9 * points,
        "legend.fontsize": 0.85 * points,
        "axes.linewidth": 0.6 * bold,
        "lines.linewidth": 1.0 * bold,
        "lines.markersize": 3.0 * bold,
        "lines.markeredgewidth": 0.6 * bold,
        "patch.linewidth": 0.6 * bold,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "text.parse_math": False,  # a dollar is a dollar; saving.Typeset sets formulas
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.2,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "rhosweep",
        "pgf.texsystem": "pdflatex",
        "pgf.rcfonts": False,
        # One for both: the layout is made at the first, where heights of letters are whole pixels,
        # and a long legend would be higher at the second.
        "savefig.dpi": 300,
        "figure.dpi": 300,
        "image.composite_image": True,
    })
