"""Text from outside, such as the name of a model's file: literal wherever a report shows it."""

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Controls, halves of surrogate pairs, ends of lines and paragraphs.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
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
    return "".join(letter if letter in keep or _is_printable(letter) else _REPLACEMENT
                   for letter in text)


def latex(text, known=()):
    """Text that LaTeX prints as it is; letters that it does not know, and that are not in `known`,
    by their number."""
    def one(letter):
        if letter <= _LAST_OF_LATEX or letter in known:
            return _LATEX.get(letter, letter)
        return f"[U+{ord(letter):04X}]"
    return "".join(map(one, text))
