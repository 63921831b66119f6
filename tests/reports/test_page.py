"""index.html in a real browser, from a file, narrow and wide."""

import html
import json
import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")

HEAD = """<script>
const failures = [];
addEventListener("error", (event) => failures.push(event.message || String(event.target.src)), true);
</script>"""

# Looks at the page, sorts, and leaves what it found as JSON in the page.
PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement;
  const column = (table, name) => {
    const heads = Array.from(table.tHead.rows[0].cells);
    const head = heads.find((cell) => cell.textContent.trim() === name);
    const read = () => Array.from(table.tBodies[0].rows, (row) => row.cells[head.cellIndex].textContent);
    const click = () => { head.querySelector("button").click(); return read(); };
    return { before: read(), first: click(), state: head.getAttribute("aria-sort"), second: click() };
  };
  const decay = document.getElementById("table-decay");
  const found = {
    failures,
    width: root.clientWidth, needed: root.scrollWidth,
    images: Array.from(document.images, (image) => ({
      name: image.closest("figure").id, natural: image.naturalWidth, alt: image.alt,
      left: image.getBoundingClientRect().left, right: image.getBoundingClientRect().right })),
    rho: column(decay, "rho"), rate: column(decay, "decay_rate"), regime: column(decay, "regime"),
    bound: column(decay, "predicted_rate"),
  };
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
</script>"""


def look(page, width, folder):
    """What the browser says of the page in a window so wide, and its console."""
    text = page.read_text().replace("<head>", "<head>" + HEAD).replace("</body>", PROBE + "</body>")
    # Chrome's own windows have a least width; a frame has none.
    probed = folder / "probed.html"
    probed.write_text(text)
    framed = folder / "framed.html"
    framed.write_text(f'<iframe src="probed.html" style="width:{width}px;height:4000px"></iframe>'
                      '<script>addEventListener("load", () => setTimeout(() => {'
                      "const out = document.createElement('pre'); out.id = 'out';"
                      "out.textContent = frames[0].document.getElementById('probe').textContent;"
                      "document.body.append(out); }, 100));</script>")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--enable-logging=stderr", "--virtual-time-budget=10000", "--window-size=1600,1200",
         f"--user-data-dir={folder / 'profile'}", "--dump-dom", framed.as_uri()],
        capture_output=True, text=True, timeout=120, check=False)
    probe = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    assert probe, done.stderr[-3000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(probe[1])), console


@pytest.fixture(scope="module", params=[390, 1440], ids=["narrow", "wide"])
def seen(request, report, tmp_path_factory):
    return look(report / "index.html", request.param, tmp_path_factory.mktemp("page"))


def test_no_errors(seen):
    found, console = seen
    assert found["failures"] == []
    assert console == []


def test_figures_are_visible(seen, report):
    found, _ = seen
    assert len(found["images"]) == len(list(report.glob("*.svg"))) > 30
    for image in found["images"]:
        assert image["natural"] > 100, image["name"]
        assert image["alt"]
        assert 0 <= image["left"] < image["right"] <= found["width"], image["name"]
        assert image["right"] - image["left"] > 300, image["name"]


def test_the_page_is_no_wider_than_its_window(seen):
    found, _ = seen
    assert found["needed"] <= found["width"]


def numbers(cells):
    return [float(cell) for cell in cells if cell]


def test_sorting_numbers(seen):
    found, _ = seen
    for name in ("rho", "rate"):
        column = found[name]
        assert column["state"] == "ascending"
        assert sorted(column["before"]) == sorted(column["first"]) == sorted(column["second"])
        assert numbers(column["first"]) == sorted(numbers(column["before"]))
        assert numbers(column["second"]) == sorted(numbers(column["before"]), reverse=True)
    assert found["rate"]["first"] != sorted(found["rate"]["before"])  # as text they differ


def test_sorting_text_and_empty_cells(seen):
    found, _ = seen
    assert found["regime"]["first"] == sorted(found["regime"]["before"])
    for order in ("first", "second"):
        cells = found["bound"][order]
        empty = cells.count("")
        assert 0 < empty < len(cells)
        assert cells[-empty:] == [""] * empty
