// The browser of sentences: controls to state, state to a page of the grid or of texts.

const state = { view: "grid", group: null, shown: [], first: null, second: null, found: [], page: 0, sizes: { ...SIZES }, open: null, lost: null };

function options(select, rows) {
  select.replaceChildren(...rows.map(([value, text]) => make("option", { value }, text)));
}

const runsOf = (group) => block("data").runs.filter((run) => block("data").groups[run.group] === group);

// Fills the controls that depend on the sentences.
function setGroup(group) {
  if (group === state.group) return;
  const runs = runsOf(group);
  Object.assign(state, { group, shown: runs, first: runs[0], second: null, open: null });
  byId("group").value = group.number;
  options(byId("type"), [["", "any"], ...group.labels.map((label, n) => [n, label])]);
  byId("documents").replaceChildren(...[...new Set(group.documents)].slice(0, 2000).map((name) => make("option", { value: name })));
  for (const option of byId("order").querySelectorAll("[data-run]")) option.remove();
  byId("order").append(...runs.map((run) => make("option", { value: `run ${run.number}`, "data-run": true }, `most errors in run ${run.number} first`)));
  byId("columns").replaceChildren(byId("columns").firstElementChild, ...runs.map((run) => make("label", {}, make("input", { type: "checkbox", value: run.number }), make("span", { class: "num" }, run.number), make("span", { class: "name" }, run.name))));
}

// The controls of runs as the state has them.
function drawRuns() {
  const others = runsOf(state.group).filter((run) => run !== state.first);
  byId("a").value = state.first.number;
  options(byId("b"), [["", others.length ? "no other" : "no other over these sentences"], ...others.map((run) => [run.number, `${run.number} ${run.name}`])]);
  byId("b").value = state.second?.number ?? "";
  byId("b").disabled = others.length === 0;
  byId("group").value = state.group.number;
  for (const box of byId("columns").querySelectorAll("input")) box.checked = state.shown.some((run) => String(run.number) === box.value);
  byId("columns").hidden = runsOf(state.group).length === 1;
  for (const part of document.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== state.view;
  const pair = watched(state).length;
  document.querySelector(".flips").hidden = pair < 2;
  for (const option of byId("flip").options) option.hidden = ["first", "second"].includes(option.value) && state.view !== "texts";
}

function read() {
  const number = (name) => (byId(name).value === "" || !byId(name).validity.valid ? null : Number(byId(name).value));
  const kind = byId("kind").value;
  state.type = byId("type").value === "" ? null : Number(byId("type").value);
  state.kind = kind === "" ? null : /^\d+$/.test(kind) ? Number(kind) : kind;
  Object.assign(state, { low: number("low"), high: number("high"), wrong: byId("wrong").checked });
  for (const name of ["text", "document", "flip", "order"]) state[name] = byId(name).value;
}

// Draws everything from the controls. `keep`: stay on the page of the address; `replace`: the change is no step of Back.
function update({ keep = false, write = true, replace = false } = {}) {
  showView();
  if (!state.group) return write ? writeAddress(replace) : undefined;
  drawRuns();
  read();
  state.found = choose(state);
  if (!keep) state.page = 0;
  if (keep && state.open !== null && state.found.includes(state.open)) state.page = Math.floor(state.found.indexOf(state.open) / state.sizes.grid);
  if (state.view === "grid" && !keep && state.open !== null && !state.found.includes(state.open)) state.open = null;
  state.page = Math.min(state.page, pages() - 1);
  showDifference(state.first, state.view === "texts" || state.open !== null ? state.second : null);
  byId("active").textContent = activeFilters();
  show();
  if (write) writeAddress(replace);
  else if (state.view === "grid" && state.open !== null) focusOpen();
}

// One view is shown; the strip is that of its sentences.
function showView() {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = ["grid", "texts"].includes(state.view) ? "sentences" : state.view;
  for (const section of document.querySelectorAll(".view")) section.hidden = section.id !== shown;
  const number = /^g\d+$/.test(state.view) ? state.view.slice(1) : String(state.group?.number ?? 1);
  for (const strip of document.querySelectorAll(".strip")) strip.hidden = strip.dataset.group !== number;
}

// The runs and the filters that are set, for a folded panel.
function activeFilters() {
  const fields = ["flip", "kind", "type", "document", "text", "low", "high"].filter((name) => byId(name).value !== "");
  const set = fields.length + (state.wrong ? 1 : 0), runs = watched(state);
  const which = state.view === "texts" ? `run ${state.first.number}${state.second ? ` beside ${state.second.number}` : ""}` : `${runs.length} of ${runsOf(state.group).length} runs`;
  return `${which}${set ? `, ${set} set` : ""}`;
}

const pages = () => Math.max(1, Math.ceil(state.found.length / (state.sizes[state.view] ?? 50)));

function show() {
  if (!(state.view in SIZES)) return;
  const size = state.sizes[state.view], from = state.page * size, rows = state.found.slice(from, from + size);
  const all = state.group.ids.length.toLocaleString("en"), found = state.found.length.toLocaleString("en");
  byId("found").textContent = found === all ? `all ${all} sentences` : `${found} of ${all} sentences`;
  const drawn = state.view === "grid" ? [grid(state, rows)] : rows.map((n) => card(state, n));
  byId("list").replaceChildren(...(rows.length ? drawn : [make("p", { class: "empty" }, "No sentence passes these filters.")]));
  byId("legend").className = state.view === "grid" ? "legend cells" : "legend";
  byId("legend").replaceChildren(...(state.view === "grid" ? gridLegend(state) : legendOf(state)));
  const hidden = state.view === "grid" && state.open !== null && !state.found.includes(state.open) ? state.group.ids[state.open] : null;
  byId("missing").textContent = state.lost !== null ? `The link's sentence ${state.lost} is not on this page.` : `The link's sentence ${hidden} does not pass the filters.`;
  byId("missing").hidden = state.lost === null && hidden === null;
  byId("size").value = size;
  document.querySelector(".page").value = state.page + 1;
  document.querySelector(".page").max = pages();
  document.querySelector(".of").textContent = `of ${pages().toLocaleString("en")}`;
  for (const part of document.querySelectorAll(".turn")) part.hidden = pages() === 1;
  for (const button of document.querySelectorAll(".previous")) button.disabled = state.page === 0;
  for (const button of document.querySelectorAll(".next")) button.disabled = state.page >= pages() - 1;
}

function turn(to, focus = true) {
  const page = Math.min(pages() - 1, Math.max(0, to));
  if (Number.isNaN(page) || page === state.page) return;
  Object.assign(state, { page, open: null });
  show();
  writeAddress();
  byId("legend").scrollIntoView({ block: "start" });
  if (focus) steps()[0]?.focus({ preventScroll: true });
}

function openRow(n, run) {
  openAt(n, run);
  showDifference(state.first, state.open === null ? null : state.second);
  show();
  writeAddress();
  document.querySelector(`.row[data-n="${n}"]`)?.focus({ preventScroll: true });
}

function openView(view) {
  Object.assign(state, { view, page: 0, open: null, lost: null });
  if (state.group && view === "texts" && !state.shown.includes(state.first)) state.first = state.shown[0];
  update();
  scrollTo(0, 0);
}

function later(act, wait) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}

function onControl(event, soon) {
  const { id, type, value } = event.target, { runs, groups } = block("data");
  state.lost = null;
  if (event.target.closest("#columns")) {
    const ticked = [...byId("columns").querySelectorAll(":checked")].map((box) => box.value);
    state.shown = runsOf(state.group).filter((run) => ticked.includes(String(run.number)));
    if (!state.shown.length) state.shown = runs.filter((run) => String(run.number) === value);
  } else if (id === "group") {
    setGroup(groups.find((group) => String(group.number) === value));
  } else if (id === "a") {
    const first = runs.find((run) => String(run.number) === value), second = state.second;
    setGroup(groups[first.group]);
    Object.assign(state, { first, second: second !== first && runsOf(state.group).includes(second) ? second : null });
  } else if (id === "b") {
    state.second = runs.find((run) => String(run.number) === value) ?? null;
  }
  if (type === "search" || type === "number") soon();
  else update();
}

function onListClick(event) {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-order]")) {
    byId("order").value = at("[data-order]").dataset.order;
    return update();
  }
  if (at(".close")) return close();
  if (at("[data-step]")) return stepOpen(Number(at("[data-step]").dataset.step));
  const row = at(".row");
  if (!row || String(getSelection())) return undefined;
  const number = at("[data-run]")?.dataset.run;
  return openRow(Number(row.dataset.n), state.shown.find((run) => String(run.number) === number) ?? null);
}

function listen() {
  const form = byId("filters"), soon = later(() => update({ replace: true }), 120);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => onControl(event, soon));
  form.addEventListener("reset", () => setTimeout(() => { state.shown = runsOf(state.group); update(); }));
  byId("list").addEventListener("click", onListClick);
  byId("legend").addEventListener("click", (event) => {
    const kind = event.target.closest("[data-kind]")?.dataset.kind;
    if (kind === undefined) return;
    byId("kind").value = byId("kind").value === kind ? "" : kind;
    update();
  });
  for (const button of document.querySelectorAll(".previous")) button.addEventListener("click", () => turn(state.page - 1, false));
  for (const button of document.querySelectorAll(".next")) button.addEventListener("click", () => turn(state.page + 1, false));
  document.querySelector(".page").addEventListener("change", (event) => turn(Number(event.target.value) - 1, false));
  byId("size").addEventListener("input", (event) => { state.sizes[state.view] = Number(event.target.value); state.page = 0; show(); writeAddress(); });
  document.addEventListener("click", (event) => { if (event.target.matches(".link")) copyLink(event.target); });
  document.addEventListener("keydown", onKey);
}

function listenTheme() {
  const schemes = ["as the system", "light", "dark"];
  let at = 0;
  byId("theme").addEventListener("click", () => {
    at = (at + 1) % schemes.length;
    document.documentElement.style.colorScheme = at === 0 ? "" : schemes[at];
    byId("theme").textContent = `Theme: ${schemes[at]}`;
  });
}

function listenViews() {
  const nav = document.querySelector("nav");
  nav.hidden = false;
  nav.addEventListener("click", (event) => {
    const link = event.target.closest("[data-view]");
    if (!link) return;
    event.preventDefault();
    openView(link.dataset.view);
  });
  addEventListener("hashchange", onAddress);
}

function begin() {
  listenTheme();
  listenViews();
  const { runs, groups, kinds } = block("data");
  byId("none").hidden = runs.length > 0;
  if (runs.length) {
    const option = (run) => make("option", { value: run.number }, `${run.number} ${run.name}`);
    const grouped = groups.map((group, n) => make("optgroup", { label: group.title }, ...runs.filter((run) => run.group === n).map(option)));
    byId("a").replaceChildren(...(groups.length === 1 ? runs.map(option) : grouped));
    options(byId("group"), groups.map((group) => [group.number, group.title]));
    byId("groups").hidden = groups.length === 1;
    options(byId("kind"), [["", "any or none"], ...kinds.map((name, n) => [n, name]), [REPAIRED, "answer repaired"], [FAILED, "sentence failed"]]);
    for (const part of document.querySelectorAll("#panel, #legend, .pager")) part.hidden = false;
    byId("panel").open = matchMedia("(min-width: 48rem)").matches;
    listen();
  }
  takeAddress(new URLSearchParams(location.hash.slice(1)));
  update({ keep: true, write: false });
}

begin();
