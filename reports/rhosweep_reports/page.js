"use strict";
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

// --- tables: a click on a column's head sorts; numbers as numbers, empty cells last -----------------
const exact = (cell) => cell.dataset.exact ?? cell.textContent.trim();
function valueOf(row, column) {
  const text = exact(row.cells[column]);
  if (text === "") return null;
  const number = Number(text.replace(/^(-?)inf$/, "$1Infinity"));
  return Number.isNaN(number) ? text : number;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0];
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const keyed = Array.from(body.rows, (row) => [valueOf(row, head.cellIndex), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...keyed.map(([, row]) => row));
}
for (const button of all("thead button")) button.addEventListener("click", () => sortBy(button.closest("th")));

// Rows that hold every word of the search.
function search(table, words, output) {
  const rows = Array.from(table.tBodies[0].rows);
  for (const row of rows) {
    const text = Array.from(row.cells, (cell) => cell.textContent).join("\t").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  const all = rows.length === 1 ? "1 row" : `${rows.length} rows`;
  output.value = shown === rows.length ? all : `${shown} of ${all}`;
}

// What is shown, exact, as spreadsheets paste it.
function asText(table) {
  const heads = Array.from(table.tHead.rows[0].cells, (head) => head.dataset.column);
  const rows = Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
  return [heads, ...rows.map((row) => Array.from(row.cells, exact))].map((cells) => cells.join("\t")).join("\n") + "\n";
}
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // where a browser has no clipboard for files
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
for (const tools of all(".tools")) {
  const table = tools.parentElement.querySelector("table"), output = tools.querySelector("output");
  const [field, button] = [tools.querySelector("input"), tools.querySelector(".copy")];
  tools.hidden = false;
  field.addEventListener("input", () => search(table, field.value.toLowerCase().split(/\s+/), output));
  button.addEventListener("click", async () => {
    await copy(asText(table));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// --- figures: those of the chosen networks; at first of the largest, where there are several sizes -----
const form = document.getElementById("choose");
function choose() {
  const wanted = new FormData(form), figures = all(".kind figure");
  for (const figure of figures)
    figure.hidden = Array.from(wanted).some(([column, value]) =>
      value !== "" && figure.hasAttribute(`data-${column}`) && figure.getAttribute(`data-${column}`) !== value);
  for (const kind of all(".kind")) kind.hidden = all("figure", kind).every((figure) => figure.hidden);
  const shown = figures.filter((figure) => !figure.hidden).length;
  form.querySelector("output").value = `${shown} of ${figures.length} figures shown`;
}
function showAll() {
  for (const one of all("select", form)) one.value = "";
  choose();
}
function showTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target || !target.closest("[hidden]")) return;
  showAll();
  target.scrollIntoView();
}
if (form) {
  form.hidden = false;
  const sizes = form.querySelector("select[name=hidden]");
  if (sizes) sizes.selectedIndex = sizes.options.length - 1;
  form.addEventListener("change", choose);
  form.addEventListener("reset", (event) => { event.preventDefault(); showAll(); });
  choose();
  addEventListener("hashchange", showTarget);
  showTarget();
}

// --- dark or light: as the system has it, until the switch is used -------------------------------------
const theme = document.getElementById("theme"), root = document.documentElement;
const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function keep(name) {
  root.dataset.theme = name;
  try { localStorage.setItem("rhosweep-theme", name); } catch { /* a browser may keep nothing for files */ }
}
try {
  const kept = localStorage.getItem("rhosweep-theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
} catch { /* likewise */ }
theme.hidden = false;
theme.addEventListener("click", () => keep(isDark() ? "light" : "dark"));
