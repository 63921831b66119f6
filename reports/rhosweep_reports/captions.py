"""A figure's caption as a piece of LaTeX, ready to edit."""

from .text import latex as as_latex

# How a document takes the file of a format, the best format first.
_INCLUDE = {
    "pdf": r"\includegraphics{%s.pdf}",
    "pgf": r"\input{%s.pgf}",
    "png": r"\includegraphics{%s.png}",
    "svg": r"\includesvg{%s}",
}


def plain(picture):
    """What is shown, and what was run."""
    return f"{picture.figure.caption} {picture.about}."


def latex(picture, formats):
    include = next(command for name, command in _INCLUDE.items() if name in formats)
    return "\n".join([
        r"\begin{figure}", r"  \centering", f"  {include % picture.name}",
        rf"  \caption{{{as_latex(picture.figure.title)}. {as_latex(plain(picture))}}}",
        rf"  \label{{fig:{picture.name}}}", r"\end{figure}", ""])
