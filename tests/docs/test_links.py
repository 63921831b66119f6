"""Every link within the documentation leads somewhere."""

import pytest

from doc_tools import PAGES, ROOT, anchors, links, text_of


def broken_links(page, text):
    """Each with the reason. Links to the web are not followed."""
    broken = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.exists():
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
            broken.append(f"{link}: no such heading")
    return broken


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert broken_links(page, text_of(page)) == []


@pytest.mark.parametrize(("link", "reason"), [
    ("docs/nowhere.md", "no such file"), ("docs/science.md#nowhere", "no such heading"),
    ("#nowhere", "no such heading")])
def test_a_broken_link_is_found(link, reason):
    assert broken_links("README.md", f"[text]({link})") == [f"{link}: {reason}"]


@pytest.mark.parametrize("link", ["docs/science.md#decay-rate", "https://example.org/nowhere", "#rhosweep"])
def test_a_good_link_is_not_broken(link):
    assert broken_links("README.md", f"[text]({link})") == []


def test_links_in_code_are_none():
    assert broken_links("README.md", "`[a](nowhere)`\n\n```text\n[a](nowhere)\n```\n") == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_every_page_is_linked(page):
    """From the README or another page."""
    others = [(other, links(text_of(other))) for other in PAGES if other != page]
    assert any(((ROOT / other).parent / link.partition("#")[0]).resolve() == ROOT / page
               for other, targets in others for link in targets)
