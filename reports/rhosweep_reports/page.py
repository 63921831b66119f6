"""index.html: one file that needs no network. Figures are SVG inside it, and files beside it."""

import base64
import html
from importlib.resources import files
from urllib.parse import quote

from . import findings, summary
from .saving import FORMATS
from .table import OF_CELLS
from .text import printable

# Columns that only programs need stay in the files.
_CONTRACT = {
    "decay": ("cell", "ensemble", "model", "hidden", "steps", *OF_CELLS, "rho", "g", "seeds",
              "decay_rate", "decay_rate_ci95", "decay_rate_min", "decay_rate_max", "gain",
              "growing_fraction", "regime", "attempts", "predicted_rate", "prediction", "decay_rate_bound"),
    "clip": ("cell", "ensemble", "model", "hidden", "steps", *OF_CELLS, "rho", "seed", "loss", "max_norm",
             "weight_ih", "weight_hh", "bias_ih", "bias_hh", "total", "clip_coef", "total_clipped"),
}
_LONG = {"command_line", "spec", "libraries", "reason"}
# Text, also where it reads as a number, as the commit 1234e56 does.
_TEXT = {"cell", "ensemble", *OF_CELLS, "model", "model_digest", "input", "h0", "loss", "precision", "engine",
         "device", "host", "system", "driver", "version", "git_commit", "commit", "body", "regime",
         "prediction", "started", "finished", "outcome"}
_TITLES = {"decay": "Decay rates", "critical": "Critical radii", "seeds": "Decay rates of single networks",
           "clip": "Clipping", "profile": "Profiles", "throughput": "Throughput",
           "runs": "Runs", "failures": "Failures", "bench": "Benchmarks"}


def escape(text):
    return html.escape(printable(text, "\n"))


def _text(name):
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _link(name, text):
    return f'<a href="{escape(quote(name))}">{escape(text)}</a>'


def _links(stem, endings):
    return " · ".join(_link(f"{stem}.{ending}", ending.upper()) for ending in endings)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(text):
    """A number in few digits, also one beyond the range of doubles."""
    if text.lstrip("-").isdigit():
        return text
    mantissa, _, exponent = text.lower().partition("e")
    beyond = exponent and not 0.0 < abs(float(text)) < float("inf")
    return f"{float(mantissa):.4g}e{exponent}" if beyond else f"{float(text):.4g}"


def _cell(column, text):
    if column in _LONG:
        return f'<td class="long">{escape(text.strip())}</td>'
    if column in _TEXT or not _is_number(text):
        return f"<td>{escape(text)}</td>"
    return f'<td class="number">{_short(text)}</td>'


def _columns(table):
    chosen = [c for c in _CONTRACT.get(table.name, table.header) if c in table]
    return [c for c in chosen if any(table.text(c))
            and not (c in OF_CELLS and findings.is_usual(c, table))]


def _table(table):
    columns = _columns(table)
    head = "".join(f'<th scope="col"><button type="button">{escape(c)}</button></th>'
                   for c in columns)
    body = "\n".join("<tr>" + "".join(_cell(c, row[c]) for c in columns) + "</tr>"
                     for row in table.rows())
    return (f'<div class="scroll" tabindex="0"><table id="table-{table.name}"><thead><tr>{head}'
            f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>")


def _data(name, written):
    """Where the numbers of a figure are: a table's file, or what the page says of it."""
    return _link(f"{name}.csv", name) if name in written else f'<a href="#data-{name}">{name}</a>'


def _picture(picture, svg, formats, written):
    data = base64.b64encode(svg).decode("ascii")
    alt = f"{picture.figure.title}. {picture.about}".strip()
    links = _links(picture.name, formats) + " · data: " + ", ".join(
        _data(name, written) for name in picture.figure.tables)
    return (f'<figure id="{escape(picture.name)}"><img alt="{escape(alt)}" '
            f'src="data:image/svg+xml;base64,{data}">'
            f"<figcaption>{links}</figcaption></figure>")


def _figures(drawn, formats, absent, written):
    sections = []
    for figure in dict.fromkeys(picture.figure for picture, _ in drawn):
        shown = "\n".join(_picture(picture, svg, formats, written) for picture, svg in drawn
                          if picture.figure is figure)
        sections.append(f'<h2 id="{figure.name}">{escape(figure.title)}</h2>\n'
                        f'<p class="dim">{escape(figure.caption)}</p>\n'
                        f'<div class="grid">\n{shown}\n</div>')
    if absent:
        items = "".join(f"<li>{escape(title)}: {escape(why)}</li>" for title, why in absent)
        sections.append(f'<h2 id="absent">Figures left out</h2>\n<ul id="left-out">{items}</ul>')
    return "\n".join(sections)


def _table_section(entry):
    table, note = entry.table, entry.note
    links = f": {_links(table.name, entry.endings)}" if entry.endings else ""
    title = f'<h3 id="data-{table.name}">{_TITLES[table.name]}</h3>\n'
    about = f'<p class="dim">{entry.rows} rows{links}. {escape(note)}</p>'
    return title + about + ("" if entry.long else _table(table))


def _summary(tables):
    decay, runs = tables["decay"], tables["runs"]
    parts = [f"<p>{escape(summary.swept(decay))}</p>"]
    parts += [f"<p>{escape(line)}</p>" for line in summary.ran(runs)]
    for heading, lines in (*summary.side_by_side(decay),
                           *summary.came_out(decay, tables.get("clip", ()))):
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        parts.append(f"<h3>{escape(heading)}</h3><ul>{items}</ul>")
    failures = tables.get("failures", ())
    if len(failures):
        parts.append(f"<p><strong>{len(failures)} failed: see Failures.</strong></p>")
    return "\n".join(parts)


def _navigation(drawn):
    figures = dict.fromkeys(picture.figure for picture, _ in drawn)
    links = [f'<a href="#{f.name}">{escape(f.title)}</a>' for f in figures]
    links += ['<a href="#tables">Tables</a>', '<a href="#provenance">Provenance</a>']
    return "<nav>" + "\n".join(links) + "</nav>"


def make(name, tables, drawn, formats, absent, entries, command):
    """The page's text. `drawn` is [(picture, its SVG)], `entries` the tables in files."""
    shown_formats = [f for f in FORMATS if f in formats]
    provenance = [e for e in entries if e.table.name == "runs"]
    written = {e.table.name for e in entries if e.endings}
    measured = [e for e in entries if e.table.name != "runs" and len(e.table)]
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
<h1>Gradient flow: {escape(name)}</h1>
{_navigation(drawn)}
<section id="summary">
{_summary(tables)}
</section>
{_figures(drawn, shown_formats, absent, written)}
<h2 id="tables">Tables</h2>
{"".join(_table_section(entry) for entry in measured)}
<h2 id="provenance">Provenance</h2>
<p>This report is made by</p>
<pre>{escape(command)}</pre>
{"".join(_table_section(entry) for entry in provenance)}
<script>
{_text("page.js")}</script>
</body>
</html>
"""
