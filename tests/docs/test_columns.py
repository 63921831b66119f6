"""docs/columns.md is what the program says of its tables."""

import columns
from doc_tools import text_of


def test_the_page_is_the_programs():
    assert text_of("docs/columns.md") == columns.page(), "write it anew: see columns.py"


def test_every_table_has_a_section():
    assert {"decay", "critical", "seeds", "profile", "clip", "throughput", "runs", "failures"} <= {
        name for name, _ in columns.tables()}
