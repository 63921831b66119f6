"""The page docs/columns.md, as the program explains its tables. To write it anew:

    RHOSWEEP=build/release/rhosweep .venv/bin/python tests/docs/columns.py > docs/columns.md
"""

import re

from doc_tools import rhosweep

HEAD = """# Columns of the tables

<!-- Written by tests/docs/columns.py from `rhosweep help table NAME`. -->

[What the numbers mean](science.md) explains how they are computed. CSV and JSON have all columns; the
other formats show those that hold something or differ between rows, `--wide` and `--columns LIST` others.
"""


def tables():
    """(name, what it shows), as the help lists them."""
    listed, _, _ = rhosweep("table", "--help").stdout.partition("--columns")
    return re.findall(r"^  (\w[\w-]*) {2,}(\S.*)$", listed, re.M)


def section(name, about):
    explained = rhosweep("help", "table", name)
    assert explained.returncode == 0, explained.stderr
    return f"\n## {name}\n\n{about[0].upper()}{about[1:]}.\n\n{explained.stdout.strip()}\n"


def page():
    return HEAD + "".join(section(*table) for table in tables())


if __name__ == "__main__":
    print(page(), end="")
