"""Reads the documentation: its files, headings, links and blocks of code."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reports"))
from report_tools import PROGRAM, rhosweep  # noqa: E402, F401 (for the tests)

# For readers; the other Markdown files are results and golden tables.
PAGES = tuple(path.relative_to(ROOT).as_posix() for path in (
    *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "bench" / "README.md", ROOT / "kernels" / "cuda" / "README.md", *ROOT.glob("packaging/README.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_INLINE_CODE = re.compile(r"(`+)(.+?)\1", re.S)
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.M)
_LINK = re.compile(r"\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int  # of its first line


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text):
    return [Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)
            for match in _FENCE.finditer(text)]


def without_blocks(text):
    """The same lines, those of blocks of code empty."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def inline_code(text):
    return [match[2] for match in _INLINE_CODE.finditer(without_blocks(text))]


def links(text):
    """Targets of links and pictures."""
    return _LINK.findall(_INLINE_CODE.sub("", without_blocks(text)))


def anchors(text):
    """Names that GitHub gives to headings; all of them differ."""
    names = []
    for heading in _HEADING.findall(without_blocks(text)):
        name = re.sub(r"[^\w\- ]", "", _LINK.sub("]", heading).lower()).replace(" ", "-")
        repeats = sum(name == re.sub(r"-\d+$", "", other) for other in names)
        names.append(f"{name}-{repeats}" if repeats else name)
    return set(names)
