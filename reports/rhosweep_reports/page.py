"""index.html: one file that needs no network. Findings first, then figures as SVG inside it, then tables;
the same figures and tables are files beside it."""

import re
from importlib.resources import files

from . import findings, headlines, page_tables, summary
from .html_text import escape, markup, plain
from .inline_svg import Shapes
from .saving import FORMATS
from .table import NETWORK, OF_CELLS, SPEED

# Figures that show all networks side by side, before those of each.
OVERVIEW = ("multiples", "scaling", "phase")


def _text(name):
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


# --- findings -------------------------------------------------------------------------------------

_IN_AN_EQUATION = re.compile(r" (?=[=±] |\[)|(?<=[=±]) |(?<=,) (?=[^ ,]+\])")


def _unbroken(line):
    """A sentence whose equations and intervals stay in one line."""
    return _IN_AN_EQUATION.sub("\N{NO-BREAK SPACE}", line)


def _list(lines, kind=""):
    return f"<ul{kind}>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _lists(headed):
    return [f"<h3>{escape(heading)}</h3>{_list(lines)}" for heading, lines in headed]


def _findings(tables, found):
    """What one quotes."""
    decay = tables["decay"]
    quoted = list(headlines.headlines(decay, found))
    parts = []
    if quoted:
        parts.append(_list(map(_unbroken, quoted), ' class="headlines"'))
    if found:
        parts.append('<p class="dim">Intervals: 95%, bootstrap over seeds. g is the coupling ‖W‖/√H.</p>')
    return parts + _lists(summary.side_by_side(decay, found))


def _run(tables):
    """What was swept, on what, and whether all of it came out."""
    failures = tables.get("failures", ())
    lines = [summary.swept(tables["decay"]), *summary.ran(tables["runs"])]
    parts = [f"<p>{escape(line)}</p>" for line in lines]
    if len(failures):
        see = '<a href="#data-failures">Failures</a>'
        parts.append(f"<p><strong>{len(failures)} failed: see {see}.</strong></p>")
    return parts


def _every_network(tables, found):
    return _lists(summary.came_out(tables["decay"], found, *(tables.get(name, ()) for name in
                                                              ("clip", "lyapunov-summary", "seeds"))))


# --- figures --------------------------------------------------------------------------------------

def _of_network(picture):
    """Whether a picture shows some networks of a sweep; others show benchmarks."""
    return picture.figure.tables[0] not in SPEED


def _order(text):
    return (0, float(text), "") if text.isdigit() else (1, *reversed(findings.setting_order(text)))


def _choices(pictures):
    """Columns by which pictures differ, and their values in order."""
    found = {}
    for picture in filter(_of_network, pictures):
        for column in picture.figure.split:
            if column != "model_digest" and (value := picture.parts[0].one(column)):
                found.setdefault(column, set()).add(value)
    return {column: sorted(found[column], key=_order) for column in NETWORK if len(found.get(column, ())) > 1}


_LABELS = {"hidden": "units H", "steps": "steps T", "batch": "batch B"}


def _selectors(choices):
    """Shown where there is JavaScript; without it all figures are."""
    if not choices:
        return ""
    one = []
    for column, values in choices.items():
        options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
        name = _LABELS.get(column, findings.name_of(column))
        one.append(f'<label>{escape(name)} <select name="{column}"><option value="">all</option>'
                   f"{options}</select></label>")
    return (f'<form id="choose" hidden aria-label="Choose the networks that figures show">{" ".join(one)}'
            ' <output aria-live="polite"></output> <button type="reset">Show all</button></form>')


def _data(name, written):
    """Where the numbers of a figure are: a table's file, or what the page says of it."""
    return page_tables.link(f"{name}.csv", name) if name in written else f'<a href="#data-{name}">{name}</a>'


class _Figures:
    """Figures of one page, which share letters and styles."""

    def __init__(self, drawn, formats, written, sizes):
        self.shapes = Shapes()
        self._drawn = drawn
        self._formats = [name for name in FORMATS if name in formats]
        self._written = written
        self._sizes = sizes
        self.choices = _choices([picture for picture, _ in drawn])

    def kinds(self, wanted):
        """Kinds of figures, in the order of their pictures."""
        return [kind for kind in dict.fromkeys(picture.figure for picture, _ in self._drawn)
                if wanted(kind.name)]

    def _chosen_by(self, picture):
        if not _of_network(picture):
            return ""
        return "".join(f' data-{column}="{escape(picture.parts[0].one(column))}"' for column in self.choices
                       if column in picture.figure.split)

    def _one(self, picture, svg):
        label = plain(f"{picture.figure.title}. {picture.about}".strip())
        endings = [*self._formats, "tex"]
        links = page_tables.links(picture.name, endings, self._sizes) + " · data: " + ", ".join(
            _data(name, self._written) for name in picture.figure.tables)
        return (f'<figure id="{escape(picture.name)}"{self._chosen_by(picture)}>'
                f"{self.shapes.inline(svg, label)}<figcaption>"
                f"<strong>{markup(self._network(picture))}.</strong> {markup(self._caption(picture))}"
                f'<br><span class="files">{links}</span></figcaption></figure>')

    def _network(self, picture):
        """With the settings by which other pictures differ."""
        told = [f"{findings.name_of(column)} {picture.parts[0].one(column)}" for column in self.choices
                if column in (*OF_CELLS, "input") and column in picture.figure.split
                and picture.parts[0].one(column)]
        return ", ".join([picture.lines[0], *told])

    @staticmethod
    def _caption(picture):
        """As in the LaTeX beside the picture, but for the network, which comes first here."""
        more = "; ".join(picture.lines[1:])
        return picture.figure.caption + (f" {more[:1].upper()}{more[1:]}." if more else "")

    def section(self, kind):
        shown = "\n".join(self._one(picture, svg) for picture, svg in self._drawn if picture.figure is kind)
        return (f'<section class="kind"><h3 id="{kind.name}">{markup(kind.title)}</h3>\n'
                f'<div class="grid">\n{shown}\n</div></section>')


def _absent(absent):
    if not absent:
        return ""
    titles = {}
    for title, why in absent:
        titles.setdefault(why, []).append(title)
    items = "".join(f"<li>{markup('; '.join(some))}: {escape(why)}</li>" for why, some in titles.items())
    return f'<section><h3 id="absent">Figures left out</h3>\n<ul id="left-out">{items}</ul></section>'


# --- the whole ------------------------------------------------------------------------------------

def _navigation(headings):
    links = "".join(f'<a href="#{name}">{markup(title)}</a>' for name, title in headings)
    return (f'<nav aria-label="Sections"><div>{links}</div>'
            '<button type="button" id="theme" hidden aria-label="Dark or light page">◐</button></nav>')


def _heading(name, title):
    return f'<h2 id="{name}">{title}</h2>'


def _section(name, parts):
    return f'<section id="{name}">\n' + "\n".join(parts) + "\n</section>"


def _sections(tables, figures, absent, entries, sizes, command):
    """(name, title, what is in it) of the page's parts."""
    at_the_top = [e for e in entries if e.table.name == "critical" and any(e.table.text("rho_critical"))]
    provenance = [e for e in entries if e.table.name == "runs"]
    others = [e for e in entries if e not in (*at_the_top, *provenance) and len(e.table)]
    found = headlines.points(tables["critical"])
    every = _every_network(tables, found)
    first = _findings(tables, found) or every
    yield "findings", "Findings", _section("summary", first + _run(tables))
    for entry in at_the_top:
        yield "data-critical", page_tables.title("critical"), page_tables.section(entry, sizes)
    overview = "\n".join(map(figures.section, figures.kinds(lambda name: name in OVERVIEW)))
    if overview:
        yield "overview", "Overview", f'<div class="overview">{overview}</div>'
    each = "\n".join(map(figures.section, figures.kinds(lambda name: name not in OVERVIEW)))
    yield "figures", "Figures", (f'<div class="chosen">{_selectors(figures.choices)}{each}</div>'
                                 + _absent(absent))
    if first is not every:
        yield "networks", "Every network", _section("every-network", every)
    yield "tables", "Tables", "".join(page_tables.headed(entry, sizes) for entry in others)
    yield "provenance", "Provenance", (f"<p>This report is made by</p>\n<pre>{escape(command)}</pre>\n"
                                       + "".join(page_tables.headed(entry, sizes) for entry in provenance))


def make(name, tables, drawn, formats, absent, entries, sizes, command):
    """The page's text. `drawn` is [(picture, its SVG)], `entries` the tables in files, `sizes` the bytes
    of the files beside the page."""
    written = {e.table.name for e in entries if e.endings}
    figures = _Figures(drawn, formats, written, sizes)
    sections = list(_sections(tables, figures, absent, entries, sizes, command))
    headings = [(at, title) for at, title, _ in sections]
    body = "\n".join(f"{_heading(at, title)}\n{content}" for at, title, content in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rhosweep: {escape(name)}</title>
<link rel="icon" href="data:,">
<style>
{_text("page.css")}</style>
</head>
<body>
{figures.shapes.definitions()}
{_navigation(headings)}
<main>
<h1>Gradient flow: {escape(name)}</h1>
{body}
</main>
<script>
{_text("page.js")}</script>
</body>
</html>
"""
