"""Draws figures into files: which pictures there are, and what is absent and why."""

import multiprocessing
import os
import signal
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from . import captions, findings, style
from .errors import ReportError
from .figures import FIGURES, bench
from .figures.drawing import Absent, head
from .saving import Typeset
from .table import SPEED


@dataclass(frozen=True)
class Picture:
    figure: object
    name: str  # of its files, without the ending
    parts: tuple  # of every table of the figure, the rows that it shows
    keywords: dict  # of draw: what it shares with the other pictures of its figure

    @property
    def lines(self):
        """What was run."""
        return self.figure.describe(self.parts[0]).split("\n")

    @property
    def about(self):
        """The same in a line."""
        return "; ".join(self.lines)


def _parts(figure, tables):
    """The rows of every table for each picture, put together by the columns of the split."""
    first, *others = (tables[name] for name in figure.tables)
    keyed = [{findings.key(part, figure.split): part for part in table.split(figure.split)}
             for table in others]
    for part in first.split(figure.split):
        key = findings.key(part, figure.split)
        if all(key in table for table in keyed):
            yield (part, *(table[key] for table in keyed))


def _name(figure, part, whole):
    if figure.tables[0] in SPEED:
        told = [findings.plain(part.one(column)) for column in figure.split if len(whole.values(column)) > 1]
        return "_".join([figure.name, *told])
    return f"{figure.name}_{findings.slug(part, whole, figure.split)}"


MOST_BYTES = 200  # of a file's name; file systems allow 255, and an ending follows


def _own_name(name, taken):
    """The name cut to what file systems hold, and with a number where another picture has it."""
    number, end = 1, ""
    while True:
        own = name.encode()[:MOST_BYTES - len(end)].decode(errors="ignore") + end
        if own not in taken:
            taken.add(own)
            return own
        number += 1
        end = f"_{number}"


def plan(tables, look, wanted=None):
    """Pictures to draw, and (title, reason) of figures that no table allows. `tables` is name to
    Table; `wanted` names one figure."""
    pictures, absent, taken = [], [], set()
    for figure in (figure.of(look) for figure in FIGURES):
        if wanted not in (None, figure.name):
            continue
        lacking = _lacking(figure, tables)
        if lacking:
            if wanted or lacking not in _NOT_ASKED.values():
                absent.append((figure.title, lacking))
            continue
        wholes = [tables[name] for name in figure.tables]
        keywords = figure.shared(look, *wholes)
        for parts in _parts(figure, tables):
            if wanted is None and not figure.asked(*parts):
                continue
            if wholes[0].name == "bench" and not bench.has_times(parts[0]):
                continue  # ceilings alone, such as those of a precision
            name = _own_name(_name(figure, parts[0], wholes[0]), taken)
            pictures.append(Picture(figure, name, parts, keywords))
    return pictures, absent


_NO_TANGENTS = "no Lyapunov exponents were recorded (rhosweep sweep --lyapunov)"
# Who never asked for these misses nothing.
_NOT_ASKED = {"clip": "no weights' gradients were recorded (rhosweep sweep --clip)",
              "lyapunov": _NO_TANGENTS, "lyapunov-summary": _NO_TANGENTS,
              "singular": "no singular values were recorded (rhosweep sweep --lyapunov all --singular-at)"}
_EMPTY = {**dict.fromkeys(SPEED, "no benchmark JSON was given for it (--bench)"), **_NOT_ASKED}


def _lacking(figure, tables):
    """Why no row can be plotted; None where some can."""
    for name in figure.tables:
        if not len(tables.get(name, ())):
            return _EMPTY.get(name, f"the table {name} is empty")
    if "bench" in figure.tables and not bench.has_times(tables["bench"]):
        return "the benchmark JSON holds no times"
    return None


def draw(picture, folder, formats, look):
    """Writes the picture in every format, and its caption. Returns None, or why it is absent."""
    try:
        figure = drawn(picture, look)
        for output_format in formats:
            figure.save(folder / f"{picture.name}.{output_format}", output_format)
    except Absent as reason:
        return str(reason)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # No sweep leads here; numbers of a database that was made otherwise may.
        for output_format in formats:
            (folder / f"{picture.name}.{output_format}").unlink(missing_ok=True)
        return f"its numbers cannot be drawn: {error}"
    (folder / f"{picture.name}.tex").write_text(captions.latex(picture, formats), encoding="utf-8")
    return None


def drawn(picture, look):
    """The figure typeset, with its layout settled: every format gets the same one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style.apply(look)
    figure = Figure(figsize=style.size(look), layout="constrained")
    FigureCanvasAgg(figure)  # keeps what measures text: else every measure makes an image
    place = picture.figure.draw(figure.add_subplot(), *picture.parts, **picture.keywords)
    if look.title != "none":
        head(figure, "\n".join(picture.lines if look.title == "full" else picture.lines[:1]))
    typeset = Typeset(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    if place:
        place()
        typeset.set_added()
    return typeset


# What the drawing processes inherit; rows of a large table are not copied to them.
_inherited = ()


def _draw_inherited(at):
    planned, *how = _inherited
    return draw(planned[at], *how)


def _begin_drawing(work):
    """Ctrl-C reaches every process of a terminal; the first one alone answers. What LaTeX writes for
    pgf goes to `work`, for these processes end without removing it."""
    tempfile.tempdir = str(work)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def draw_all(planned, folder, formats, look, say):
    """Draws pictures on all processors. Returns for each None, or why it is absent; calls `say` for
    each that is done. LaTeX may leave files beside `folder`."""
    global _inherited
    _inherited = (planned, folder, formats, look)
    workers = min(len(os.sched_getaffinity(0)), len(planned)) or 1
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin_drawing,
                               (folder.absolute().parent,))
    try:
        reasons = []
        for picture, reason in zip(planned, pool.map(_draw_inherited, range(len(planned))),
                                   strict=True):
            reasons.append(reason)
            say(f"Figure {len(reasons)} of {len(planned)}: {picture.name}")
        return reasons
    except BrokenProcessPool as error:
        raise ReportError("drawing: a process was killed: is there enough memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)
