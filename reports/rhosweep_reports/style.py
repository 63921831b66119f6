"""How every figure looks: sizes, fonts, colours. The only file that knows.

Colours are those of Okabe and Ito, in an order of falling contrast in grey; series differ in marker
and dash too. Radii are coloured by cividis, whose lightness only rises.
"""

import io
from contextlib import contextmanager

import matplotlib
from matplotlib import colormaps
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.text import Text
from PIL import Image

from . import text
from .errors import ReportError

FORMATS = ("pdf", "png", "svg", "pgf")
STYLES = ("paper", "talk")
WIDTHS = ("column", "page")

_INCHES = {"paper": {"column": 3.4, "page": 7.0}, "talk": {"column": 5.6, "page": 11.0}}
_POINTS = {"paper": 8.0, "talk": 13.0}
_HEIGHT = {"column": 0.86, "page": 0.56}  # of the width

SERIES = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# More than colours, and no multiple of their number: 77 series look different.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
REFERENCE = "#666666"
GRID = "#DDDDDD"
MISSING = "#F2F2F2"

# Without its last part, which is too pale for lines on white.
RADIUS = LinearSegmentedColormap.from_list(
    "radius", [colormaps["cividis"](0.9 * k / 255) for k in range(256)])
HEAT = colormaps["cividis"]

# Nothing in a file may depend on the time, the machine or the order of dictionaries.
_METADATA = {
    "pdf": {"CreationDate": None, "Creator": "rhosweep", "Producer": None},
    "svg": {"Date": None, "Creator": "rhosweep"},
}

# The letters of our labels that LaTeX does not know by itself. A document that includes a .pgf
# needs the same lines; they stand in its head.
_PGF_LETTERS = {
    "ρ": r"\rho", "σ": r"\sigma", "→": r"\to", "∞": r"\infty", "−": "-", "ₕ": "_h", "ₜ": "_t",
    "ₘ": "_m", "ₐ": "_a", "ₓ": "_x", "⁻": "^-",
    **{digit: f"^{k}" for k, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}
_PGF_PREAMBLE = "\n".join(
    rf"\DeclareUnicodeCharacter{{{ord(letter):04X}}}{{\ensuremath{{{text}}}}}"
    for letter, text in _PGF_LETTERS.items())


def series(at):
    """Colour, marker and dash of series number `at`, as keywords of a plot."""
    return {"color": SERIES[at % len(SERIES)], "marker": MARKERS[at % len(MARKERS)],
            "linestyle": DASHES[at % len(DASHES)]}


def stroke(points):
    """A width of paper's lines in the style in use."""
    return points * matplotlib.rcParams["lines.linewidth"]


def size(style, width):
    inches = _INCHES[style][width]
    return inches, inches * _HEIGHT[width]


def apply(style):
    """Sets matplotlib's defaults, whatever the user's own are."""
    points = _POINTS[style]
    bold = points / 8.0
    matplotlib.rcdefaults()
    matplotlib.rcParams.update({
        "font.family": "DejaVu Sans",
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
        "axes.grid": True,
        "grid.color": GRID,
        "grid.linewidth": 0.5 * bold,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "text.parse_math": False,  # a dollar is a dollar
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.2,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "rhosweep",
        "pgf.texsystem": "pdflatex",
        "pgf.rcfonts": False,
        "pgf.preamble": _PGF_PREAMBLE,
        # One for both: the layout is made at the first, where heights of letters are whole pixels,
        # and a long legend would be higher at the second.
        "savefig.dpi": 300,
        "figure.dpi": 300,
        "image.composite_image": True,
    })


def _save_png(figure, path):
    """With a palette: figures have few colours, and a third of the bytes will do."""
    whole = io.BytesIO()
    figure.savefig(whole, format="png", metadata={"Software": None})
    image = Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    dpi = matplotlib.rcParams["savefig.dpi"]
    image.save(path, format="png", optimize=True, dpi=(dpi, dpi))


@contextmanager
def _for_latex(figure):
    """All text, which is plain, as LaTeX."""
    plain = {one: one.get_text() for one in figure.findobj(Text)}
    try:
        for one, what in plain.items():
            one.set_text(text.latex(what, _PGF_LETTERS))
        yield
    finally:
        for one, what in plain.items():
            one.set_text(what)


def _save_pgf(figure, path):
    try:
        with _for_latex(figure):
            figure.savefig(path, format="pgf")
    except (RuntimeError, ValueError) as error:  # LaTeX did not take it
        last = (str(error).strip() or "no message").splitlines()[-1]
        raise ReportError(f"format pgf: LaTeX fails: {last}: install pgf (texlive-pictures), or "
                          "leave pgf out") from error


def _save_vector(figure, path, output_format):
    """As savefig does, which draws everything twice for a layout that may still change."""
    dpi = figure.dpi
    try:
        if output_format == "pdf":
            FigureCanvasPdf(figure).print_pdf(path, metadata=_METADATA["pdf"])
        else:
            FigureCanvasSVG(figure).print_svg(path, metadata=_METADATA["svg"])
    finally:
        figure.dpi = dpi  # which the canvas sets to its own


def save(figure, path, output_format):
    """Writes a figure whose layout is settled."""
    if output_format == "png":
        _save_png(figure, path)
    elif output_format == "pgf":
        _save_pgf(figure, path)
    else:
        _save_vector(figure, path, output_format)
