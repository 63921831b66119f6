"""index.html in a real browser, from a file: narrow and wide, dark and light, and on paper."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
import unicodedata

import pytest
from PIL import Image, ImageChops, ImageStat

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
MOST_BYTES = 3_000_000  # of a page with some forty figures

HEAD = """<script>
const failures = [], copied = [];
addEventListener("error", (event) => failures.push(event.message || String(event.target.src)), true);
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
const clipboard = { writeText: async (text) => { copied.push(text); } };
Object.defineProperty(navigator, "clipboard", { value: clipboard });
</script>"""

# Looks at the page, uses it, and leaves what it found as JSON in the page.
PROBE = """<script>
addEventListener("load", async () => {
  const root = document.documentElement;
  const column = (table, name) => {
    const heads = Array.from(table.tHead.rows[0].cells);
    const head = heads.find((cell) => cell.textContent.trim() === name);
    const read = () => Array.from(table.tBodies[0].rows, (row) => row.cells[head.cellIndex].textContent);
    const click = () => { head.querySelector("button").click(); return read(); };
    return { before: read(), first: click(), state: head.getAttribute("aria-sort"), second: click() };
  };
  const figures = () => Array.from(document.querySelectorAll("figure"));
  const shown = () => figures().filter((figure) => figure.getBoundingClientRect().width > 0)
    .map((figure) => figure.id);
  const found = { width: root.clientWidth };
  found.first = shown();
  const form = document.getElementById("choose"), size = form.querySelector("select[name=hidden]");
  found.sizes = Array.from(size.options, (option) => option.value);
  const one = form.querySelector("select[name=ensemble]");
  one.value = "orthogonal";
  one.dispatchEvent(new Event("change", { bubbles: true }));
  found.chosen = shown();
  found.told = form.querySelector("output").value;
  form.querySelector("button").click();
  found.all = shown();
  found.needed = root.scrollWidth;
  found.images = figures().map((figure) => {
    const box = figure.querySelector("svg").getBoundingClientRect();
    return { name: figure.id, alt: figure.querySelector("svg").getAttribute("aria-label"),
             left: box.left, right: box.right, height: box.height, caption: figure.textContent };
  });
  const decay = document.getElementById("table-decay");
  const named = { rho: "rho", rate: "decay_rate", regime: "regime", bound: "predicted_rate" };
  for (const [key, name] of Object.entries(named)) found[key] = column(decay, name);
  const tools = decay.closest("section").querySelector(".tools"), field = tools.querySelector("input");
  field.value = "Exploding orthogonal";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  found.rows = Array.from(decay.tBodies[0].rows).filter((row) => row.getBoundingClientRect().height > 0)
    .map((row) => row.textContent);
  found.count = tools.querySelector("output").value;
  tools.querySelector(".copy").click();
  await Promise.resolve();
  found.copied = copied;
  const paper = () => getComputedStyle(document.body).backgroundColor;
  found.papers = [paper()];
  for (let at = 0; at < 2; ++at) { document.getElementById("theme").click(); found.papers.push(paper()); }
  found.figure = getComputedStyle(document.querySelector("figure svg")).backgroundColor;
  found.nameless = Array.from(document.querySelectorAll("button, select, input, a, svg[role=img]"))
    .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
    .map((one) => one.outerHTML.slice(0, 200));
  scrollTo(0, 3000);
  found.navigation = document.querySelector("nav").getBoundingClientRect().top;
  frameElement.style.height = "700px";  // as high as a window
  found.covered = ["critical", "figures", "profile", "absent", "tables", "provenance"]
    .map((name) => document.getElementById(name) ?? document.getElementById("data-" + name))
    .filter((heading) => {
      heading.scrollIntoView();
      const box = heading.getBoundingClientRect();
      return !heading.contains(document.elementFromPoint(box.left + 4, box.top + box.height / 2));
    }).map((heading) => heading.id);
  found.loaded = performance.getEntriesByType("navigation")[0].loadEventStart;
  found.failures = failures;
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
</script>"""


def browse(folder, *words):
    """The finished browser, with a profile of its own."""
    return subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--allow-file-access-from-files", "--enable-logging=stderr",
         f"--user-data-dir={folder / 'profile'}", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False)


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
    done = browse(folder, "--virtual-time-budget=10000", "--window-size=1600,1200", "--dump-dom",
                  framed.as_uri())
    probe = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    assert probe, done.stderr[-3000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(probe[1])), console


@pytest.fixture(scope="module", params=[420, 1400], ids=["narrow", "wide"])
def seen(request, report, tmp_path_factory):
    return look(report / "index.html", request.param, tmp_path_factory.mktemp("page"))


def test_no_errors(seen):
    found, console = seen
    assert found["failures"] == []
    assert console == []


def test_the_page_is_small(report):
    assert (report / "index.html").stat().st_size < MOST_BYTES


# --- figures --------------------------------------------------------------------------------------

def test_figures_are_visible(seen, report):
    found, _ = seen
    assert len(found["images"]) == len(list(report.glob("*.svg"))) > 30
    for image in found["images"]:
        assert image["height"] > 100, image["name"]
        assert image["alt"]
        assert 0 <= image["left"] < image["right"] <= found["width"], image["name"]
        assert image["right"] - image["left"] > 300, image["name"]


def test_figures_have_captions_and_links_to_files(seen, report):
    found, _ = seen
    for image in found["images"]:
        assert re.search(r"tanh|linear|gaussian|orthogonal", image["caption"])
        for ending in ("pdf", "svg", "png", "tex"):
            size = (report / f"{image['name']}.{ending}").stat().st_size
            told, unit = re.search(rf"{ending.upper()}\s\(([\d.]+) (k?B)\)", image["caption"]).groups()
            assert float(told) * (1000 if unit == "kB" else 1) == pytest.approx(size, rel=0.01)


def test_networks_can_be_chosen(seen):
    found, _ = seen
    assert found["sizes"] == ["", "8", "12"]
    assert found["first"] and not [name for name in found["first"] if "_H8_" in name]
    assert not [name for name in found["chosen"] if "gaussian" in name or "_H8_" in name]
    assert [name for name in found["chosen"] if "orthogonal_H12" in name]
    assert found["told"] == f"{len(found['chosen'])} of {len(found['images'])} figures shown"
    assert found["all"] == [image["name"] for image in found["images"]]


def test_without_scripts_every_figure_is_shown(report, tmp_path):
    text = re.sub("<script>.*?</script>", "", (report / "index.html").read_text(), flags=re.S)
    assert not re.search("<figure[^>]* hidden", text)
    assert re.search('<form id="choose" hidden', text) and 'class="tools" hidden' in text


def screenshot(body, width, height, folder):
    (folder / "shot.html").write_text(body)
    browse(folder, f"--window-size={width},{height}", f"--screenshot={folder / 'shot.png'}",
           (folder / "shot.html").as_uri())
    return Image.open(folder / "shot.png").convert("RGB")


def test_figures_in_the_page_look_as_their_files(report, tmp_path):
    page = (report / "index.html").read_text()
    style = re.search("<style>.*?</style>", page, re.S)[0]
    style += "<style>body, figure { margin: 0; width: 600px }</style>"
    shapes = re.search('<svg id="shapes".*?</defs></svg>', page, re.S)[0]
    for kind in ("rate", "profile", "heatmap", "horizon"):
        name, svg = re.search(rf'<figure id="({kind}_[^"]*)"[^>]*>(<svg.*?</svg>)', page, re.S).groups()
        file = f'{style}<figure><img src="{report / name}.svg" style="width:600px;display:block"></figure>'
        ours = screenshot(f"{style}{shapes}<figure>{svg}</figure>", 600, 500, tmp_path)
        theirs = screenshot(file, 600, 500, tmp_path)
        difference = ImageChops.difference(ours, theirs).convert("L")
        assert ImageStat.Stat(theirs).stddev[0] > 10, name  # something is drawn
        assert sum(difference.histogram()[100:]) < 600 * 500 / 500, name  # edges are blurred otherwise


# --- tables ---------------------------------------------------------------------------------------

def test_the_page_is_no_wider_than_its_window(seen):
    found, _ = seen
    assert found["needed"] <= found["width"]


def numbers(cells):
    """To digits that all have: the order is that of the exact numbers."""
    return [round(float(cell), 3) for cell in cells if cell]


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


def test_searching_shows_rows_with_every_word(seen, report):
    found, _ = seen
    wanted = [row for row in csv.DictReader(io.StringIO((report / "decay.csv").read_text()))
              if row["regime"] == "exploding" and row["ensemble"] == "orthogonal"]
    whole = len((report / "decay.csv").read_text().splitlines()) - 1
    assert len(found["rows"]) == len(wanted) > 0
    assert all("exploding" in row and "orthogonal" in row for row in found["rows"])
    assert found["count"] == f"{len(wanted)} of {whole} rows"


def test_copying_gives_exact_numbers_of_the_rows_shown(seen, report):
    found, _ = seen
    (text,) = found["copied"]
    copied = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    file = list(csv.DictReader(io.StringIO((report / "decay.csv").read_text())))
    assert len(copied) == len(found["rows"])
    columns = copied[0].keys()
    assert {"cell", "ensemble", "hidden", "rho", "decay_rate", "regime"} <= columns
    every = [{column: row[column] for column in columns} for row in file]
    assert all(row in every for row in copied)


# --- light, dark, paper ---------------------------------------------------------------------------

def test_the_switch_makes_the_page_dark_and_light(seen):
    found, _ = seen
    first, second, third = found["papers"]
    assert first == third == "rgb(255, 255, 255)" and second == "rgb(22, 24, 27)"
    assert found["figure"] == "rgb(255, 255, 255)"


def test_the_page_is_dark_where_the_system_is(report, tmp_path):
    page = (report / "index.html").read_text()
    for scheme, paper in (("0", 24), ("1", 255)):  # dark, light
        (tmp_path / "page.html").write_text(page)
        browse(tmp_path, "--window-size=800,300", f"--blink-settings=preferredColorScheme={scheme}",
               f"--screenshot={tmp_path / 'page.png'}", (tmp_path / "page.html").as_uri())
        assert Image.open(tmp_path / "page.png").convert("RGB").getpixel((780, 280))[1] == paper


def test_everything_has_a_name_and_the_navigation_stays(seen):
    found, _ = seen
    assert found["nameless"] == []
    assert found["navigation"] == 0


def test_nothing_covers_the_heading_that_a_link_leads_to(seen):
    found, _ = seen
    assert found["covered"] == []


def printed(page, folder):
    """The page on paper, as pypdf reads it."""
    pypdf = pytest.importorskip("pypdf")
    browse(folder, f"--print-to-pdf={folder / 'page.pdf'}", "--no-pdf-header-footer", page.as_uri())
    return pypdf.PdfReader(folder / "page.pdf").pages


@pytest.fixture(scope="module")
def paper(report, tmp_path_factory):
    """Text of each page, without blanks and line ends, by page; and the sheets' sizes in points."""
    return [(page.extract_text(), [round(float(side)) for side in page.mediabox[2:]])
            for page in printed(report / "index.html", tmp_path_factory.mktemp("paper"))]


def dense(text):
    """Without blanks, and with letters for their ligatures."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_paper_is_a4(paper):
    assert {tuple(size) for _, size in paper} == {(595, 842), (842, 595)}


def rows_of(page, name):
    """Heads and cells of a table of the page, as text."""
    table = re.search(rf'<table id="table-{name}".*?</table>', page, re.S)[0]
    return [[dense(html.unescape(re.sub("<[^>]*>", "", cell)))
             for cell in re.findall("<t[hd].*?</t[hd]>", row, re.S)]
            for row in re.findall("<tr>.*?</tr>", table, re.S)]


@pytest.mark.parametrize("name", ["decay", "throughput", "runs"])
def test_no_column_is_cut_on_paper(paper, report, name):
    page = (report / "index.html").read_text()
    text = "".join(dense(text) for text, _ in paper)
    for row in rows_of(page, name):
        if name == "runs":  # whose cells go on over several sheets
            assert all(cell in text for cell in row), row
        else:
            assert "".join(row) in text, row


def test_headings_are_on_the_sheet_of_what_they_head(paper):
    for text, _ in paper:
        last = text.strip().splitlines()[-1]
        assert last not in ("Figures", "Tables", "Provenance", "Every network", "Decay rates", "Throughput")


def test_a_table_has_its_heads_on_every_sheet(report, tmp_path):
    table = re.compile('(<table id="table-decay".*?<tbody>)(.*?)(</tbody>)', re.S)
    text = (report / "index.html").read_text()
    (tmp_path / "long.html").write_text(table.sub(lambda found: found[1] + 4 * found[2] + found[3], text))
    sheets = [page.extract_text() for page in printed(tmp_path / "long.html", tmp_path)]
    of_the_table = [dense(sheet) for sheet in sheets if sheet.count("exploding") > 5]
    assert len(of_the_table) > 2
    assert all("regime" in sheet and "growing_fraction" in sheet for sheet in of_the_table)


def test_paper_has_no_buttons(paper):
    text = "".join(text for text, _ in paper)
    assert "Copy" not in text and "Show all" not in text and "↕" not in text
