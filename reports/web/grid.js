// The grid: a row a sentence, a cell a run; a cell has a colour and a letter for what its run did.

// By kind of error, in the order of the page's data: letter, class, place among the letters of a cell.
const OUTCOMES = [["E", "ends", 2], ["T", "type", 3], ["B", "both", 4], ["M", "missed", 0], ["I", "invented", 1]];
const LETTERS = 3, FEW = 4, WIDE = 12; // letters in a cell; the most runs with numbers beside letters; the most that fit a screen

// What a run did with a sentence: a sign, a class and words. `brief`: letters without numbers.
function outcome(group, run, n, brief) {
  if (n in run.failed) return { sign: "!", look: "failed", words: `failed: ${run.failed[n]}` };
  const kinds = rowsOf(run.errors[n], 3).map(([kind]) => kind);
  if (!kinds.length) {
    const empty = group.gold[n].length === 0;
    return empty ? { sign: "·", look: "empty", words: "right: no mention" } : { sign: "✓", look: "right", words: "right" };
  }
  const counts = [...new Set(kinds)].sort((a, b) => OUTCOMES[a][2] - OUTCOMES[b][2]).map((kind) => [kind, kinds.filter((one) => one === kind).length]);
  const letters = counts.map(([kind, times]) => OUTCOMES[kind][0] + (times > 1 && !brief ? times : ""));
  const more = letters.length > LETTERS ? [...letters.slice(0, LETTERS - 1), "+"] : letters;
  const words = counts.map(([kind, times]) => `${block("data").kinds[kind]}${times > 1 ? ` ×${times}` : ""}`).join(", ");
  return { sign: more.join(brief ? "" : " "), look: OUTCOMES[counts[0][0]][1], words };
}

function grid(state, rows) {
  const head = make("tr", { role: "row" }, heading("sentence", "sentence", "", "as in the documents"), ...state.shown.map((run) => runHeading(run)));
  if (state.shown.length > 1) head.append(heading("differ", "≠", "differing", "most disagreement first: pairs of runs that predict otherwise"));
  head.append(heading("errors", "✕", "errors", "most errors first, over all runs shown"));
  const body = rows.flatMap((n) => (n === state.open ? [rowOf(state, n), detail(state, n)] : [rowOf(state, n)]));
  const table = make("table", { class: "grid", role: "table", "aria-label": "Sentences by runs" },
    make("thead", { role: "rowgroup" }, head), make("tbody", { role: "rowgroup" }, ...body));
  return make("div", { class: state.shown.length > WIDE ? "grid-box wide" : "grid-box", style: `--runs: ${state.shown.length}` }, table);
}

// `short` is the name on a narrow screen.
function heading(name, short, order, title, ...more) {
  const sorted = state.order === order;
  const button = make("button", { type: "button", "data-order": order, title }, make("span", { class: "long" }, name), make("span", { class: "short", "aria-hidden": "true" }, short), ...more, sorted ? make("span", { class: "sorted", "aria-hidden": "true" }, "▾") : null);
  return make("th", { scope: "col", role: "columnheader", class: order === "" ? "what" : null, "aria-sort": sorted ? "descending" : null }, button);
}

function runHeading(run) {
  const made = heading(String(run.number), String(run.number), `run ${run.number}`, `${run.name}: most errors first`,
    make("span", { class: "name" }, run.name.replace(/[_=.]/g, "$&\u200b")), make("span", { class: "f1" }, `F1 ${run.f1.toFixed(3).replace(/^0/, "")}`));
  made.classList.add("run");
  return made;
}

function rowOf(state, n) {
  const { group, shown } = state;
  const what = make("th", { scope: "row", role: "rowheader", class: "what" }, make("span", { class: "id" }, group.ids[n]), " ", make("span", { class: "brief" }, ...goldText(group, n)));
  const row = make("tr", { class: n === state.open ? "row opened" : "row", role: "row", tabindex: "0", "data-n": n, "aria-expanded": String(n === state.open) }, what);
  const watching = n === state.open ? [state.first, state.second] : [];
  for (const run of shown) {
    const { sign, look, words } = outcome(group, run, n, shown.length > FEW);
    const button = make("button", { type: "button", tabindex: "-1", class: `cell k-${look}`, "data-run": run.number, title: `${run.number} ${run.name}: ${words}`, "aria-label": `run ${run.number}: ${words}`, "aria-pressed": String(watching.includes(run)) }, sign);
    row.append(make("td", { role: "cell" }, button));
  }
  if (shown.length > 1) row.append(make("td", { role: "cell", class: "n" }, differing(shown, n)));
  row.append(make("td", { role: "cell", class: "n" }, shown.reduce((sum, run) => sum + run.errors[n].length / 3, 0)));
  return row;
}

// The words of a sentence, with a bar above the gold mentions.
function goldText(group, n) {
  const spans = goldSpans(group, n), pieces = [];
  let at = null;
  group.tokens[n].forEach((token, i) => {
    const span = spans.find((one) => one.start <= i && i < one.end) ?? null;
    const gap = i ? gapOf(group, n, i) : "";
    if (pieces.length && span === at) pieces.at(-1).text += gap + token;
    else pieces.push({ span, text: token, before: gap });
    at = span;
  });
  return pieces.flatMap(({ span, text, before }) => [before ?? "", span ? make("span", { class: "bit", style: `--g: var(--l${span.label % 8})`, title: labelName(group, span.label) }, text) : text]);
}

// The open sentence below its row.
function detail(state, n) {
  const place = state.found.indexOf(n);
  const bar = make("div", { class: "opened-bar" },
    make("button", { type: "button", "data-step": "-1", disabled: place <= 0 }, "‹ Previous"),
    make("button", { type: "button", "data-step": "1", disabled: place < 0 || place >= state.found.length - 1 }, "Next ›"),
    make("span", { class: "dim" }, state.shown.length > 1 ? `runs shown: ${watchedHere(state)}; a cell above shows its run beside` : ""),
    make("button", { type: "button", class: "link" }, "Copy link"),
    make("button", { type: "button", class: "close" }, "Close"));
  const cell = make("td", { colspan: state.shown.length + 3, role: "cell" }, bar, card(state, n));
  return make("tr", { class: "detail", role: "row" }, cell);
}

const watchedHere = (state) => [state.first, state.second].filter(Boolean).map((run) => `${run.number} ${run.name}`).join(" and ");

// Opens a sentence with a run, or shows the run beside the one that is shown; a run that is shown is taken away.
function openAt(n, run) {
  if (state.open !== n) {
    state.open = n;
    const two = !run && state.shown.length === 2;
    state.first = run ?? state.shown[0];
    state.second = two ? state.shown[1] : null;
  } else if (!run || (run === state.first && !state.second)) {
    state.open = null;
  } else if (run === state.first) {
    [state.first, state.second] = [state.second, null];
  } else {
    state.second = run === state.second ? null : run;
  }
}

// The legend of the grid; each kind of error is a filter.
function gridLegend(state) {
  const { kinds } = block("data");
  const sample = (sign, look) => make("span", { class: `cell k-${look}`, "aria-hidden": "true" }, sign);
  const filter = (sign, look, name, kind) => make("button", { type: "button", class: "kind", "data-kind": kind, "aria-pressed": String(byId("kind").value === String(kind)), title: "show these only" }, sample(sign, look), ` ${name}`);
  const errors = kinds.map((name, kind) => [OUTCOMES[kind][2], filter(OUTCOMES[kind][0], OUTCOMES[kind][1], name, kind)]);
  return [
    make("span", {}, sample("✓", "right"), " right"), make("span", {}, sample("·", "empty"), " right, no mention"),
    ...errors.sort((a, b) => a[0] - b[0]).map(([, made]) => made), filter("!", "failed", "failed", FAILED),
    make("span", { class: "types" }, "gold: ", ...state.group.labels.map((_, label) => tag(state.group, { label }))),
  ];
}
