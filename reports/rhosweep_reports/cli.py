"""rhosweep-report: from a database to a folder of figures, tables and a page."""

import argparse
import logging
import os
import shlex
import shutil
import signal
import sys
import warnings
from dataclasses import dataclass

from .errors import InputError, ReportError
from .text import printable

# In files of their own; profiles are large.
TABLES = ("decay", "critical", "seeds", "clip", "lyapunov-summary", "condition", "throughput", "runs", "failures")
ASKED_FOR = ("clip", "lyapunov-summary", "condition")  # whose absence nobody misses
ARRAYS = ("profile", "lyapunov", "singular")  # too large for the page
TABLE_FORMATS = {"csv": "csv", "md": "md", "latex": "tex", "json": "json"}
# More rows are written as CSV only: too many to read, or for TeX to hold.
LONG_TABLE = 1000


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError(f"report: {message}; see rhosweep report --help")


@dataclass(frozen=True)
class Entry:
    """A table on the page, and in files of these endings."""

    table: object
    endings: tuple
    rows: int
    note: str = ""
    long: bool = False


def _list_of(known):
    def parse(text):
        values = text.split(",")
        for value in values:
            if value not in known:
                raise argparse.ArgumentTypeError(
                    f'"{value[:60]}" is not one of {", ".join(known)}')
        return tuple(dict.fromkeys(values))
    return parse


def _one_of(known):
    def parse(text):
        if text not in known:
            raise argparse.ArgumentTypeError(f'"{text[:60]}" is not one of {", ".join(known)}')
        return text
    return parse


def _parser():
    from . import saving, style
    from .figures import FIGURES

    names = tuple(figure.name for figure in FIGURES)
    parser = Parser(prog="rhosweep-report", allow_abbrev=False,
                    description="Figures, tables and a page from a results database, also while "
                                "a sweep is writing to it.")
    parser.add_argument("database", metavar="DB", help="written by rhosweep sweep")
    parser.add_argument("-o", "--output", metavar="DIR", required=True,
                        help="folder of the report; made if missing, other files in it stay")
    parser.add_argument("--figure", metavar="NAME", type=_one_of(names),
                        help="only this figure, and no page: " + ", ".join(names))
    parser.add_argument("--format", metavar="LIST", type=_list_of(saving.FORMATS),
                        default=("pdf", "svg"), help="pdf, png, svg, pgf; default pdf,svg")
    parser.add_argument("--style", metavar="NAME", type=_one_of(style.STYLES), default="paper",
                        help="paper or talk; default paper")
    parser.add_argument("--width", metavar="NAME", type=_one_of(style.WIDTHS), default="column",
                        help="column or page; default column")
    parser.add_argument("--font", metavar="NAME", type=_one_of(style.FONTS), default="sans",
                        help="sans or serif; default sans")
    parser.add_argument("--title", metavar="NAME", type=_one_of(style.TITLES), default="none",
                        help="none, short (the network) or full (also how it was run); default none: "
                             "captions are in NAME.tex beside each figure")
    parser.add_argument("--x", metavar="NAME", type=_one_of(style.AXES),
                        help="rho or g on the x axis of figures over the radius; by default g in phase, rho "
                             "in the others")
    parser.add_argument("--bench", metavar="FILE[,FILE...]", default="",
                        help="JSON of rhosweep-bench, scripts/bench or scripts/bench-workers, for the figures "
                             "of speed")
    return parser


def _look(options):
    from .style import Look

    return Look(options.style, options.width, options.font, options.title, options.x or "")


def _speed(options):
    """Name to table of benchmark JSON."""
    from . import benchjson, workersjson

    paths = [path for path in options.bench.split(",") if path]
    return {"bench": benchjson.read(paths), "workers": workersjson.read(paths)}


def _write_tables(results, tables, out, progress):
    from .table import SPEED

    entries = []
    for name in TABLES:
        table = tables[name]
        if name in ASKED_FOR and not len(table):
            continue
        progress.say(f"Writing the table {name}")
        long = len(table) > LONG_TABLE
        formats = ("csv",) if long else tuple(TABLE_FORMATS)
        for output_format in formats:
            results.write(name, output_format, out / f"{name}.{TABLE_FORMATS[output_format]}")
        note = (f"Too long for Markdown, LaTeX and JSON here: {_printing(name, 'json', results)} "
                "prints it.") if long else ""
        endings = tuple(TABLE_FORMATS[f] for f in formats)
        entries.append(Entry(table, endings, len(table), note, long))
    for name in ARRAYS:
        if len(tables[name]):
            rows = sum(curve.shape[-1] for curve in tables[name].curves)
            note = f"To have them in a file: {_printing(name, 'csv', results)} > {name}.csv"
            entries.append(Entry(tables[name], (), rows, note, long=True))
    for name in SPEED:
        if len(tables[name]):
            _write_csv(tables[name], out / f"{name}.csv")
            entries.append(Entry(tables[name], ("csv",), len(tables[name])))
    return entries


def _printing(name, output_format, results):
    """The command that prints a table."""
    return shlex.join(["rhosweep", "table", name, str(results.database), "--format", output_format])


def _write_csv(table, path):
    import csv

    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.header)
        writer.writerows(row.values() for row in table.rows())


def _draw_all(planned, out, formats, options, progress):
    """Pictures drawn, and those that their rows do not allow."""
    from . import pictures

    reasons = pictures.draw_all(planned, out, formats, _look(options), progress.say)
    outcome = list(zip(planned, reasons, strict=True))
    drawn = [picture for picture, reason in outcome if reason is None]
    lacking = {}
    for picture, reason in outcome:
        if reason is not None:
            lacking.setdefault((picture.figure.title, reason), []).append(picture.about)
    absent = [(f"{title} ({'; '.join(abouts)})", reason)
              for (title, reason), abouts in lacking.items()]
    return drawn, absent


def _check_formats(formats):
    if "pgf" in formats and not shutil.which("pdflatex"):
        raise ReportError("format pgf: needs pdflatex on the PATH: install TeX, or leave pgf out")


def _report_one(results, options, out, progress):
    """A figure by name: nothing else is read or written."""
    from . import pictures
    from .figures import FIGURES
    from .table import SPEED

    needed = next(figure.tables for figure in FIGURES if figure.name == options.figure)
    tables = {name: _speed(options)[name] if name in SPEED else results.read(name) for name in needed}
    planned, absent = pictures.plan(tables, _look(options), options.figure)
    drawn, refused = _draw_all(planned, out, options.format, options, progress)
    if not drawn:
        raise InputError(f"figure {options.figure}: {(absent + refused)[0][1]}")
    return [f"{picture.name}.{ending}" for picture in drawn for ending in options.format]


def _report_all(results, options, out, progress):
    from . import files, page, pictures

    progress.say("Reading tables")
    tables = {name: results.read(name) for name in (*TABLES, *ARRAYS)}
    tables |= _speed(options)
    if not len(tables["decay"]):
        raise InputError(f"{results.database}: holds no results yet: run rhosweep sweep first")
    entries = _write_tables(results, tables, out, progress)
    planned, absent = pictures.plan(tables, _look(options))
    formats = tuple(dict.fromkeys((*options.format, "svg")))  # the page shows SVG
    drawn, refused = _draw_all(planned, out, formats, options, progress)
    shown = [(picture, (out / f"{picture.name}.svg").read_bytes()) for picture in drawn]
    if "svg" not in options.format:
        for picture in drawn:
            (out / f"{picture.name}.svg").unlink()
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    text = page.make(results.database.name, tables, shown, options.format, absent + refused,
                     entries, sizes, _command(options))
    (out / "index.html").write_text(text, encoding="utf-8")
    files.write_list(out, [os.path.abspath(options.database), _command(options)])
    return ["index.html"]


def _command(options):
    words = ["rhosweep", "report", options.database, "-o", options.output]
    default = _parser().parse_args(["DB", "-o", "DIR"])
    for name in ("figure", "format", "style", "width", "font", "title", "x", "bench"):
        value = getattr(options, name)
        if value != getattr(default, name):
            words += [f"--{name}", value if isinstance(value, str) else ",".join(value)]
    return shlex.join(words)


def _make(options, progress):
    """Names of the files to look at first."""
    from . import files, load

    if not options.output:
        raise InputError("output: the name is empty: name a folder with -o")
    _check_formats(options.format)
    make = _report_one if options.figure else _report_all
    with files.replaced_when_done(options.output) as (work, out):
        return make(load.Results(options.database, work), options, out, progress)


def _report(options):
    from .progress import Progress

    progress = Progress()
    try:
        made = _make(options, progress)
    finally:
        progress.end()
    _tell([printable(os.path.join(options.output, name)) for name in made])


def _tell(lines):
    try:
        print(*lines, sep="\n", flush=True)
    except OSError as error:
        # Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReportError(f"report: output: {error.strerror}") from error


def _interrupt(_signal, _frame):
    raise KeyboardInterrupt


def _fail(text, exit_code):
    print(f"rhosweep: {printable(' '.join(text.split()))}", file=sys.stderr)
    return exit_code


def main(arguments=None):
    """Returns the exit code; every failure is one line on stderr."""
    signal.signal(signal.SIGTERM, _interrupt)
    logging.disable(logging.WARNING)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # numbers that are not finite are drawn as such
    options = None
    try:
        options = _parser().parse_args(arguments)
        _report(options)
        return 0
    except KeyboardInterrupt:
        return _fail("report: interrupted: nothing was written", 130)
    except ReportError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("report: out of memory: make room, or name one figure with --figure", 1)
    except Exception as error:  # whatever a file holds, it ends in a line
        return _fail(f"{options.database if options else 'report'}: makes no report: "
                     f"{type(error).__name__}: {error}: is it damaged?", 2)
