// The sentence browser: controls to state, state to a page of sentences.

const state = { group: null, first: null, second: null, found: [], page: 0, size: 25 };

function options(select, rows) {
  select.replaceChildren(...rows.map(([value, text]) => make("option", { value }, text)));
}

// The runs under what they were measured on, if that is not one and the same.
function groupedRuns() {
  const { runs, groups } = block("data");
  const option = (run) => make("option", { value: run.number }, `${run.number} ${run.name}`);
  if (groups.length === 1) return runs.map(option);
  return groups.map((group, n) => make("optgroup", { label: group.title }, ...runs.filter((run) => run.group === n).map(option)));
}

function chooseFirst(number) {
  const { runs, groups } = block("data");
  state.first = runs.find((run) => String(run.number) === number);
  const group = groups[state.first.group];
  const others = runs.filter((run) => run.group === state.first.group && run !== state.first);
  const kept = byId("b").value;
  options(byId("b"), [["", others.length ? "no other" : "no other over these sentences"], ...others.map((run) => [run.number, `${run.number} ${run.name}`])]);
  byId("b").value = others.some((run) => String(run.number) === kept) ? kept : "";
  byId("b").disabled = others.length === 0;
  if (group !== state.group) {
    state.group = group;
    options(byId("type"), [["", "any"], ...group.labels.map((label, n) => [n, label])]);
    byId("documents").replaceChildren(...[...new Set(group.documents)].slice(0, 2000).map((name) => make("option", { value: name })));
  }
}

function read() {
  const number = (name) => (byId(name).value === "" || !byId(name).validity.valid ? null : Number(byId(name).value));
  const kind = byId("kind").value, { runs } = block("data");
  state.second = runs.find((run) => String(run.number) === byId("b").value) ?? null;
  state.type = byId("type").value === "" ? null : Number(byId("type").value);
  state.kind = kind === "" ? null : /^\d+$/.test(kind) ? Number(kind) : kind;
  Object.assign(state, { low: number("low"), high: number("high"), wrong: byId("wrong").checked });
  for (const name of ["text", "document", "flip", "order"]) state[name] = byId(name).value;
  document.querySelector(".flips").hidden = state.second === null;
}

function update() {
  read();
  state.found = choose(state);
  state.page = 0;
  byId("legend").replaceChildren(...legendOf(state));
  showDifference(state.first, state.second);
  byId("active").textContent = activeFilters();
  show();
}

// The run and the filters that are set, for a folded panel.
function activeFilters() {
  const fields = [...byId("filters").querySelectorAll("select, input")].filter((field) => !["a", "b", "order"].includes(field.id));
  const set = fields.filter((field) => (field.type === "checkbox" ? field.checked : field.value !== "")).length;
  return `run ${state.first.number}${state.second ? ` beside ${state.second.number}` : ""}${set ? `, ${set} set` : ""}`;
}

const pages = () => Math.max(1, Math.ceil(state.found.length / state.size));

function show() {
  const from = state.page * state.size, rows = state.found.slice(from, from + state.size);
  const all = state.group.ids.length.toLocaleString("en"), found = state.found.length.toLocaleString("en");
  byId("found").textContent = found === all ? `all ${all} sentences` : `${found} of ${all} sentences`;
  byId("list").replaceChildren(...(rows.length ? rows.map((n) => card(state, n)) : [make("p", { class: "empty" }, "No sentence passes these filters.")]));
  document.querySelector(".page").value = state.page + 1;
  document.querySelector(".page").max = pages();
  document.querySelector(".of").textContent = `of ${pages().toLocaleString("en")}`;
  for (const button of document.querySelectorAll(".previous")) button.disabled = state.page === 0;
  for (const button of document.querySelectorAll(".next")) button.disabled = state.page >= pages() - 1;
}

function turn(to, focus = true) {
  const page = Math.min(pages() - 1, Math.max(0, to));
  if (Number.isNaN(page) || page === state.page) return;
  state.page = page;
  show();
  byId("legend").scrollIntoView({ block: "start" });
  if (focus) document.querySelector(".sentence")?.focus({ preventScroll: true });
}

function step(by) {
  const cards = [...document.querySelectorAll(".sentence")];
  const at = cards.indexOf(document.activeElement?.closest?.(".sentence") ?? null);
  const next = cards[at < 0 ? 0 : at + by];
  if (next) next.focus();
  else if (cards.length) turn(state.page + by);
}

const KEYS = { j: () => step(1), k: () => step(-1), n: () => turn(state.page + 1), p: () => turn(state.page - 1), "/": () => byId("text").focus() };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.matches(".sentence")) {
    const more = event.target.querySelector(".asks");
    if (more) more.open = !more.open;
  } else if (event.key === "w" && event.target.matches(".sentence")) {
    const whole = event.target.querySelector(".whole");
    whole.open = !whole.open;
  } else if (event.key in KEYS) {
    event.preventDefault();
    KEYS[event.key]();
  }
}

function later(act, wait) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}

function listen() {
  const form = byId("filters"), soon = later(update, 120);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target.type === "search" || event.target.type === "number" ? soon() : update()));
  byId("a").addEventListener("input", () => chooseFirst(byId("a").value)); // before the form hears of it
  form.addEventListener("reset", () => setTimeout(() => { chooseFirst(byId("a").value); update(); }));
  for (const button of document.querySelectorAll(".previous")) button.addEventListener("click", () => turn(state.page - 1, false));
  for (const button of document.querySelectorAll(".next")) button.addEventListener("click", () => turn(state.page + 1, false));
  document.querySelector(".page").addEventListener("change", (event) => turn(Number(event.target.value) - 1, false));
  byId("size").addEventListener("input", (event) => { state.size = Number(event.target.value); state.page = 0; show(); });
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

function begin() {
  listenTheme();
  const { runs, kinds } = block("data");
  byId("none").hidden = runs.length > 0;
  if (!runs.length) return;
  byId("a").replaceChildren(...groupedRuns());
  options(byId("kind"), [["", "any or none"], ...kinds.map((name, n) => [n, name]), [REPAIRED, "answer repaired"], [FAILED, "sentence failed"]]);
  chooseFirst(byId("a").value);
  for (const part of document.querySelectorAll("#panel, #legend, .pager")) part.hidden = false;
  byId("panel").open = matchMedia("(min-width: 48rem)").matches;
  listen();
  update();
}

begin();
