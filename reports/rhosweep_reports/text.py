"""Text of reports: ours may hold formulas; text from outside, such as the name of a model's file, is
literal wherever a report shows it.

A formula is marked by two private characters, which printable() takes out of text from outside. So one
string is set by matplotlib (mathtext) and by LaTeX (latex), and reads as plain text (plain).
"""

import re
import unicodedata

_OPEN, _CLOSE = "\ue000", "\ue001"
_FORMULA = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Controls, private characters, halves of surrogate pairs, ends of lines and paragraphs.
_UNPRINTABLE = {"Cc", "Co", "Cs", "Zl", "Zp"}
# They change the order in which the letters after them are shown.
_DIRECTIONS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "-": "-{}",  # two would be a dash
}
_LAST_OF_LATEX = "\u017f"  # of the letters that LaTeX knows without packages


def _is_printable(letter):
    return unicodedata.category(letter) not in _UNPRINTABLE and letter not in _DIRECTIONS


def printable(text, keep=""):
    """One line that a terminal, a browser or a font takes: what controls them becomes the
    replacement character, but for the letters in `keep`."""
    if text.isprintable():  # as nearly all of a million cells are
        return text
    return "".join(letter if letter in keep or _is_printable(letter) else _REPLACEMENT
                   for letter in text)


def math(formula):
    """A formula for labels, in what mathtext and LaTeX both know, such as r"\\rho^*"."""
    return f"{_OPEN}{formula}{_CLOSE}"


def has_math(text):
    return _OPEN in text


def parted(text):
    """Plain, formula, plain, ..."""
    return _FORMULA.split(text)


def mathtext(text):
    """As matplotlib reads text with formulas: any other dollar is a dollar."""
    return _FORMULA.sub(r"$\1$", text.replace("$", r"\$"))


# Letters that text from us has, and LaTeX knows as formulas alone.
_LATEX_FORMULAS = {
    "ρ": r"\rho", "σ": r"\sigma", "χ": r"\chi", "→": r"\to", "∞": r"\infty", "−": "-", "±": r"\pm",
    "×": r"\times", "²": "^2", "ₕ": "_h", "ₜ": "_t", "ₘ": "_m", "ₐ": "_a", "ₓ": "_x", "⁻": "^-", "∂": r"\partial",
    "‖": r"\|", **{digit: f"^{k}" for k, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}
_SUPERSCRIPTS = {digit: str(k) for k, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")} | {"⁻": "-"}
_POWER = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")


def _latex_plain(text):
    def one(letter):
        if letter in _LATEX:
            return _LATEX[letter]
        if letter in _LATEX_FORMULAS:
            return f"${_LATEX_FORMULAS[letter]}$"
        return letter if letter <= _LAST_OF_LATEX else f"[U+{ord(letter):04X}]"

    def power(found):
        return "$^{" + "".join(_SUPERSCRIPTS[letter] for letter in found[0]) + "}$"

    pieces, at = [], 0
    for found in _POWER.finditer(text):
        pieces += ["".join(map(one, text[at:found.start()])), power(found)]
        at = found.end()
    return "".join(pieces) + "".join(map(one, text[at:]))


def latex(text):
    """Text with formulas that plain LaTeX, without packages, prints as it is meant; letters that it
    does not know, by their number."""
    return "".join(f"${piece}$" if at % 2 else _latex_plain(piece) for at, piece in enumerate(parted(text)))
