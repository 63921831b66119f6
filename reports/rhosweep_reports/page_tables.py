"""Tables of the page: rounded for reading; sorting, searching and copying see the exact numbers."""

from urllib.parse import quote

from . import findings, rounding
from .html_text import escape
from .table import NETWORK, OF_CELLS

# Columns that only programs need stay in the files.
_CONTRACT = {
    "decay": ("cell", "ensemble", "model", "hidden", "steps", "input", *OF_CELLS, "rho", "g", "seeds",
              "decay_rate", "decay_rate_ci95", "decay_rate_min", "decay_rate_max", "gain",
              "growing_fraction", "regime", "attempts", "predicted_rate", "prediction", "decay_rate_bound"),
    "critical": ("cell", "ensemble", "model", "hidden", "steps", "input", *OF_CELLS,
                 "rho_critical", "rho_critical_ci95_low", "rho_critical_ci95_high",
                 "g_critical", "g_critical_ci95_low", "g_critical_ci95_high", "g_predicted",
                 "seeds", "radii"),
    "clip": ("cell", "ensemble", "model", "hidden", "steps", *OF_CELLS, "rho", "seed", "loss", "max_norm",
             "weight_ih", "weight_hh", "bias_ih", "bias_hh", "total", "clip_coef", "total_clipped"),
    "lyapunov-summary": ("cell", "ensemble", "model", "hidden", "steps", "input", *OF_CELLS, "rho", "g", "seed",
                         "directions", "transient", "qr_every", "largest", "largest_standard_error",
                         "kaplan_yorke", "entropy_rate", "mean", "sum_rule_residual", "positive"),
    "condition": ("cell", "ensemble", "model", "hidden", "steps", "input", *OF_CELLS, "rho", "g", "seed",
                  "transient", "at", "log10_largest", "log10_smallest", "log10_condition"),
}
_LONG = {"command_line", "spec", "libraries", "reason"}
# Text, also where it reads as a number, as the commit 1234e56 does.
_TEXT = {"cell", "ensemble", *OF_CELLS, "model", "model_digest", "input", "h0", "loss", "precision", "engine",
         "device", "host", "system", "driver", "version", "git_commit", "commit", "body", "regime",
         "prediction", "started", "finished", "outcome", "series"}
_TITLES = {"decay": "Decay rates", "critical": "Critical point", "seeds": "Decay rate of every network",
           "clip": "Clipping", "profile": "Profiles", "lyapunov": "Lyapunov exponents",
           "lyapunov-summary": "Lyapunov spectra", "singular": "Singular values",
           "condition": "Condition of the Jacobians' product", "throughput": "Throughput", "runs": "Runs",
           "failures": "Failures", "bench": "Benchmarks", "workers": "Workers"}
# Told once, above the table, where all rows agree.
_SETTINGS = {*NETWORK, "seeds", "radii", "attempts", "device", "threads", "model_digest", "directions", "transient",
             "qr_every"}
# An uncertainty or the ends of an interval, and the columns that are rounded to it.
_ROUNDED = {
    "lyapunov-summary": ((("largest_standard_error",), ("largest", "largest_standard_error")),),
    "decay": ((("decay_rate_ci95",), ("decay_rate", "decay_rate_ci95", "decay_rate_min", "decay_rate_max",
                                      "predicted_rate")),),
    "critical": tuple(((f"{x}_critical_ci95_low", f"{x}_critical_ci95_high"),
                       (f"{x}_critical", f"{x}_critical_ci95_low", f"{x}_critical_ci95_high", *more))
                      for x, more in (("rho", ()), ("g", ("g_predicted",)))),
}
FEW_RUNS = 3  # that are read better in columns than in rows
WIDE = 10  # columns, beyond which paper is turned


def title(name):
    return _TITLES[name]


def link(name, text):
    return f'<a href="{escape(quote(name))}">{escape(text)}</a>'


def _bytes(size):
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def links(stem, endings, sizes):
    """To the files of one name, with their sizes."""
    def one(ending):
        name = f"{stem}.{ending}"
        return link(name, f"{ending.upper()}\N{NO-BREAK SPACE}({_bytes(sizes[name])})")

    return " · ".join(map(one, endings))


def _counted_rows(count):
    return "1 row" if count == 1 else f"{count} rows"


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(text):
    """A number in few digits, also one beyond the range of doubles; 0 without a sign."""
    if text.lstrip("-").isdigit():
        return text
    mantissa, _, exponent = text.lower().partition("e")
    beyond = exponent and not 0.0 < abs(float(text)) < float("inf")
    return f"{float(mantissa):.4g}e{exponent}" if beyond else f"{float(text) + 0.0:.4g}"


def _roundings(name, row):
    """Of the columns whose uncertainty is known."""
    found = {}
    for ends, rounded in _ROUNDED.get(name, ()):
        numbers = (float(row.get(column) or "nan") for column in (rounded[0], *ends))
        how = rounding.between(*numbers) if len(ends) == 2 else rounding.to(*numbers)
        found |= dict.fromkeys(rounded, how)
    return found


def cell(column, text, how=None):
    if column in _LONG:
        return f'<td class="long">{escape(text.strip())}</td>'
    if column in _TEXT or not _is_number(text):
        return f"<td>{escape(text)}</td>"
    short = how.whole(float(text)) if how else _short(text)
    exact = "" if short == text else f' data-exact="{escape(text)}"'
    return f'<td class="number"{exact}>{short}</td>'


def columns(table):
    """Those that hold what a reader may ask for."""
    chosen = [c for c in _CONTRACT.get(table.name, table.header) if c in table]
    return [c for c in chosen if any(table.text(c))
            and not (c in OF_CELLS and findings.is_usual(c, table))]


def _parted_columns(table):
    """Columns to show, and settings that all rows share."""
    shown = columns(table)
    shared = [c for c in shown if c in _SETTINGS and len(table) > 1 and not table.varies(c)]
    return [c for c in shown if c not in shared], shared


def _breakable(name):
    """A column's name, which may go on in the next line after an underscore."""
    return escape(name).replace("_", "_<wbr>")


def _is_of_numbers(column, table):
    return column not in _TEXT | _LONG and all(_is_number(text) for text in table.text(column) if text)


def _head(column, table):
    kind = ' class="number"' if _is_of_numbers(column, table) else ""
    return (f'<th scope="col"{kind} data-column="{escape(column)}">'
            f'<button type="button">{_breakable(column)}</button></th>')


def _tools(table):
    what = escape(title(table.name))
    return (f'<div class="tools" hidden>'
            f'<input type="search" placeholder="Search" aria-label="Search in {what}">'
            f'<button type="button" class="copy" aria-label="Copy {what} as text between tabs">Copy</button>'
            f'<output aria-live="polite">{_counted_rows(len(table))}</output></div>')


def _row(name, row, shown):
    how = _roundings(name, row)
    return "<tr>" + "".join(cell(c, row[c], how.get(c)) for c in shown) + "</tr>"


def in_rows(table):
    """A table that can be searched, sorted and copied."""
    shown, shared = _parted_columns(table)
    told = " · ".join(f"{_breakable(c)} {escape(table.one(c))}" for c in shared)
    head = "".join(_head(column, table) for column in shown)
    body = "\n".join(_row(table.name, row, shown) for row in table.rows())
    return (f'<p class="dim">{"Every row: " if told else ""}{told}</p>{_tools(table)}'
            f'<div class="scroll" tabindex="0" role="region" aria-labelledby="data-{table.name}">'
            f'<table id="table-{table.name}"><thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>")


def in_columns(table):
    """A few long rows as columns."""
    rows = list(table.rows())
    def line(column):
        return f'<th scope="row">{_breakable(column)}</th>' + "".join(cell(column, row[column]) for row in rows)

    body = "\n".join(f"<tr>{line(column)}</tr>" for column in columns(table))
    return f'<table id="table-{table.name}" class="facts"><tbody>\n{body}\n</tbody></table>'


def section(entry, sizes):
    """Files and rows of a table."""
    table = entry.table
    files = f": {links(table.name, entry.endings, sizes)}" if entry.endings else ""
    about = f'<p class="dim">{_counted_rows(entry.rows)}{files}. {escape(entry.note)}</p>'
    if entry.long:
        return about
    return about + (in_columns if _is_turned(table) else in_rows)(table)


def _is_turned(table):
    return table.name == "runs" and len(table) <= FEW_RUNS


def headed(entry, sizes):
    """The same under a heading."""
    table = entry.table
    is_wide = not entry.long and not _is_turned(table) and len(_parted_columns(table)[0]) > WIDE
    kind = "data wide" if is_wide else "data"
    return (f'<section class="{kind}"><h3 id="data-{table.name}">{title(table.name)}</h3>\n'
            f"{section(entry, sizes)}</section>\n")
