"use strict";
// An annotated note for a reviewer: keys through the mentions, a table of them, a slider, types on and off, a theme.

const marks = [...document.querySelectorAll("pre mark")], count = document.querySelector("output"), slider = document.querySelector("#least");
const rows = [], hiddenTypes = new Set();
let shown = marks, at = null;

const worded = (value) => (value >= 0.995 ? ">.99" : value < 0.005 ? "<.01" : value.toFixed(2).replace(/^0/, ""));
const confidence = (mark) => (mark.dataset.c === undefined ? null : Number(mark.dataset.c));

function say() {
  const place = shown.indexOf(at), of = shown.length === marks.length ? "" : ` of ${marks.length}`;
  count.textContent = place < 0 ? `${shown.length}${of} ${marks.length === 1 ? "mention" : "mentions"}` : `${place + 1}/${shown.length}`;
}

function choose(mark) {
  rows[marks.indexOf(at)]?.removeAttribute("aria-current");
  at = mark;
  const row = rows[marks.indexOf(mark)];
  row.setAttribute("aria-current", "true");
  row.scrollIntoView({ block: "nearest" });
  mark.focus({ preventScroll: true });
  mark.scrollIntoView({ block: "center" });
  say();
}

function go(step) {
  if (!shown.length) return;
  const place = shown.indexOf(at);
  choose(shown[place < 0 ? (step > 0 ? 0 : shown.length - 1) : (place + step + shown.length) % shown.length]);
}

// Marks and rows of the types and confidences that are switched on; a mention without a confidence passes any.
function filter() {
  const least = slider ? Number(slider.value) : 0;
  const passes = (mark) => !hiddenTypes.has(mark.dataset.t) && (confidence(mark) ?? 1) >= least;
  marks.forEach((mark, n) => {
    const off = !passes(mark);
    mark.classList.toggle("off", off);
    rows[n].hidden = off;
  });
  shown = marks.filter(passes);
  if (slider) document.querySelector("#least-said").textContent = least.toFixed(2).replace(/^0/, "");
  say();
}

function cell(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function drawTable() {
  const body = document.querySelector("aside tbody"), types = new Map();
  for (const button of document.querySelectorAll("[data-type]")) types.set(button.dataset.type, button.firstChild.textContent);
  marks.forEach((mark, n) => {
    const row = document.createElement("tr"), words = document.createElement("button"), sample = cell("span", types.get(mark.dataset.t), "type");
    sample.style.setProperty("--c", mark.style.backgroundColor);
    words.type = "button";
    words.textContent = mark.firstChild.textContent.replace(/\s+/g, " ");
    const text = document.createElement("td"), type = document.createElement("td");
    text.append(words);
    type.append(sample);
    row.append(cell("td", String(n + 1), "n"), text, type, cell("td", confidence(mark) === null ? "" : worded(confidence(mark)), "n"));
    row.addEventListener("click", () => choose(mark));
    rows.push(row);
  });
  body.append(...rows);
}

// By place in the text, or the least confident first.
function order(doubt) {
  const keyed = rows.map((row, n) => [doubt ? (confidence(marks[n]) ?? 2) : 0, n, row]);
  document.querySelector("aside tbody").append(...keyed.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , row]) => row));
  for (const head of document.querySelectorAll("aside [data-doubt]")) {
    head.parentElement.setAttribute("aria-sort", (head.dataset.doubt === "1") === doubt ? "ascending" : "none");
  }
}

function listen() {
  const steps = { n: 1, j: 1, p: -1, k: -1 };
  document.addEventListener("keydown", (event) => {
    if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey && event.target !== slider) go(steps[event.key]);
  });
  for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => go(Number(button.dataset.step)));
  for (const button of document.querySelectorAll("[data-type]")) {
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      if (off) hiddenTypes.add(button.dataset.type);
      else hiddenTypes.delete(button.dataset.type);
      filter();
    });
  }
  for (const head of document.querySelectorAll("[data-doubt]")) head.addEventListener("click", () => order(head.dataset.doubt === "1"));
  slider?.addEventListener("input", filter);
  for (const mark of marks) mark.addEventListener("click", () => { if (!mark.matches(".off")) choose(mark); });
  const schemes = ["as the system", "light", "dark"], theme = document.querySelector("#theme");
  theme.addEventListener("click", () => {
    const next = (schemes.indexOf(theme.value) + 1) % schemes.length;
    theme.value = schemes[next];
    theme.textContent = `Theme: ${schemes[next]}`;
    document.documentElement.style.colorScheme = next ? schemes[next] : "";
  });
}

drawTable();
listen();
filter();
