"""A figure as a file of each format."""

import io
from contextlib import contextmanager

import matplotlib
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator
from PIL import Image

from . import fonts, text
from .errors import ReportError

fonts.read_once()

FORMATS = ("pdf", "png", "svg", "pgf")

# Nothing in a file may depend on the time, the machine or the order of dictionaries.
_METADATA = {
    "pdf": {"CreationDate": None, "Creator": "rhosweep", "Producer": None},
    "svg": {"Date": None, "Creator": "rhosweep"},
}


def _tickers(figure):
    """What places and names the ticks of every axis; axes that share one have the same."""
    return {axis.major: axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}


class Typeset:
    """A figure, and its text with the formulas marked (text.math)."""

    def __init__(self, figure):
        self.figure = figure
        self._source = {}
        self._set(figure.findobj(Text))

    def set_added(self):
        """Formulas of what was written into axes since."""
        self._set([one for axes in self.figure.axes for one in axes.texts])

    def _set(self, texts):
        for one in texts:
            what = one.get_text()
            if text.has_math(what):
                self._source[one] = what
                one.set_text(text.mathtext(what))
                one.set_parse_math(True)

    @contextmanager
    def _for_latex(self):
        """All text as LaTeX. Ticks are named anew at every drawing, by what names them."""
        shown = {one: one.get_text() for one in self.figure.findobj(Text)}
        tickers = {ticker: (ticker.locator, ticker.formatter) for ticker in _tickers(self.figure)}
        named = {ticker: (axis.get_ticklocs(), [text.latex(label.get_text()) for label in axis.get_ticklabels()])
                 for ticker, axis in _tickers(self.figure).items()}
        try:
            for one, what in shown.items():
                one.set_text(text.latex(self._source.get(one, what)))
            for ticker, (places, names) in named.items():
                ticker.locator, ticker.formatter = FixedLocator(places), FixedFormatter(names)
            yield
        finally:
            for ticker, (locator, formatter) in tickers.items():
                ticker.locator, ticker.formatter = locator, formatter
            for one, what in shown.items():
                one.set_text(what)

    def save(self, path, output_format):
        """Writes the figure; its layout is settled."""
        if output_format == "png":
            _save_png(self.figure, path)
        elif output_format == "pgf":
            with self._for_latex():
                _save_pgf(self.figure, path)
        else:
            _save_vector(self.figure, path, output_format)


def _has_colour_bar(figure):
    return any(axes.get_label() == "<colorbar>" for axes in figure.axes)  # matplotlib's name


def _save_png(figure, path):
    """With a palette where figures have few colours: a third of the bytes will do. The 256 of a colour bar
    leave it none for the edges of letters, and it would show bands."""
    whole = io.BytesIO()
    figure.savefig(whole, format="png", metadata={"Software": None})
    image = Image.open(whole).convert("RGB")
    if not _has_colour_bar(figure):
        image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    dpi = matplotlib.rcParams["savefig.dpi"]
    image.save(path, format="png", optimize=True, dpi=(dpi, dpi))


def _save_pgf(figure, path):
    try:
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
