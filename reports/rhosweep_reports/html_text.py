"""Text of the page: what comes from outside is shown as it is, formulas (text.math) as HTML."""

import html
import re

from . import text

_SIGNS = {r"\rho": "ρ", r"\sigma": "σ", r"\chi": "χ", r"\phi": "φ", r"\partial": "∂", r"\|": "‖", r"\to": "→",
          r"\infty": "∞", r"\times": "×", r"\pm": "±", r"\sqrt": "√", r"\ln": "ln", r"\log": "log", r"\,": "\N{THIN SPACE}",
          r"\leq": "≤", r"\geq": "≥", r"\approx": "≈", "-": "−"}
_SIGN = re.compile(r"\\[A-Za-z]+|\\.|-")
_RAISED = re.compile(r"([_^])(?:\{([^{}]*)\}|(\S))")
_FONT = re.compile(r"\\(?:mathrm|mathbf|mathit|text)\b")


def escape(what):
    """Text without formulas."""
    return html.escape(text.printable(what, "\n"))


def _formula(source):
    signs = _SIGN.sub(lambda found: _SIGNS.get(found[0], found[0]), _FONT.sub("", source))
    names = {"_": "sub", "^": "sup"}
    raised = _RAISED.sub(lambda found: "<{0}>{1}</{0}>".format(names[found[1]], found[2] or found[3]),
                         html.escape(signs))
    return f'<span class="formula">{raised.replace("{", "").replace("}", "")}</span>'


def markup(what):
    """Text that may hold formulas."""
    return "".join(_formula(piece) if at % 2 else escape(piece)
                   for at, piece in enumerate(text.parted(what)))


def plain(what):
    """The same in letters alone: for names that are read aloud."""
    return html.escape(html.unescape(re.sub("<[^>]*>", "", markup(what))))
