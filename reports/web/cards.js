// One sentence as an element: gold above its text, predictions below, and its errors in words.

const colourOf = (label) => (label < 0 ? "" : `--c: var(--l${label % 8})`);

function card(state, n) {
  const { group, first, second } = state;
  const runs = second ? [first, second] : [first];
  const head = make("header", {}, make("span", { class: "doc" }, group.documents[n]), make("span", { class: "id" }, group.ids[n]),
    ...badges(runs, n));
  const made = make("article", { class: "sentence", tabindex: "0", "data-n": n, "aria-label": `Sentence ${group.ids[n]}` }, head);
  made.append(lineOf(group, runs, n), spoken(group, runs, n));
  const whole = make("details", { class: "more whole" }, make("summary", {}, "Whole document"));
  whole.addEventListener("toggle", () => {
    if (whole.open && whole.children.length === 1) {
      whole.append(wholeOf(group, runs, n));
      const here = whole.querySelector(".here"), box = whole.querySelector(".document");
      box.scrollTop = here.offsetTop - box.offsetTop - box.clientHeight / 3;
    }
  });
  const errors = runs.flatMap((run) => findings(group, run, n, second ? run.number : null));
  if (errors.length) made.append(make("ul", { class: "findings" }, ...errors));
  made.append(whole);
  if (byId("prompts")) {
    const more = make("details", { class: "more asks" }, make("summary", {}, "Request and reply"));
    more.addEventListener("toggle", () => {
      if (more.open && more.children.length === 1) {
        more.append(make("div", { class: "both" }, ...runs.map((run) => askedOf(group, run, n))));
      }
    });
    made.append(more);
  }
  return made;
}

function badges(runs, n) {
  const found = [];
  if (runs.length === 2 && isRight(runs[0], n) !== isRight(runs[1], n)) {
    const right = isRight(runs[0], n) ? runs[0] : runs[1];
    found.push(make("span", { class: "badge flip" }, `flipped: only ${right.number} is right`));
  } else if (runs.every((run) => isRight(run, n))) {
    found.push(make("span", { class: "badge right" }, "✓ right"));
  }
  for (const run of runs) {
    const whose = runs.length === 2 ? `${run.number}: ` : "";
    if (n in run.failed) found.push(make("span", { class: "badge failed" }, `${whose}failed: ${run.failed[n]}`));
    for (const [name, times] of Object.entries(run.repairs[n] ?? {})) {
      found.push(make("span", { class: "badge" }, `${whose}${name.replaceAll("_", " ")}${times > 1 ? ` ×${times}` : ""}`));
    }
  }
  return found;
}

// The sentence as it is written, between the end of the one before it and the beginning of the next one.
function lineOf(group, runs, n) {
  const line = make("div", { class: "line" }, ...near(group, n - 1, n), ...written(group, runs, n), ...near(group, n + 1, n));
  return line;
}

const NEAR = 120;

// The part of a neighbour in the same document that lies beside sentence n.
function near(group, other, n) {
  if (group.documents[other] !== group.documents[n]) return [];
  const before = other < n, text = textOf(group, other), gap = gapOf(group, Math.max(other, n), 0);
  const between = gap === "" && !group.gaps ? " " : gap.length > NEAR ? (before ? `…${gap.slice(-NEAR)}` : `${gap.slice(0, NEAR)}…`) : gap;
  const part = text.length <= NEAR ? text : before ? `…${text.slice(-NEAR)}` : `${text.slice(0, NEAR)}…`;
  return [make("span", { class: "near" }, before ? part + between : between + part)];
}

// The text of a sentence in pieces: one for each part with the same spans, with the name of a span where it begins or ends.
function written(group, runs, n) {
  const gold = goldSpans(group, n), preds = runs.map((run) => predSpans(run, n));
  const missed = runs.map((run) => new Set(rowsOf(run.errors[n], 3).filter(([, , pred]) => pred < 0).map(([, place]) => place)));
  gold.forEach((span, place) => (span.missed = missed.every((places) => places.has(place))));
  const sides = [gold, ...preds], pieces = [];
  let open = null;
  const add = (text, spans) => {
    if (open === null || spans.some((span, side) => span !== open.spans[side])) pieces.push((open = { spans, text: "" }));
    open.text += text;
  };
  const covering = (from, to) => sides.map((spans) => spans.find((span) => span.start <= from && to < span.end));
  const tokens = group.tokens[n];
  tokens.forEach((token, i) => {
    if (i) add(gapOf(group, n, i), covering(i - 1, i));
    add(token, covering(i, i));
  });
  const made = pieces.flatMap((piece, k) => [
    ...sides.flatMap((_, side) => (piece.spans[side] && piece.spans[side] !== pieces[k - 1]?.spans[side] ? named(group, runs, side, piece.spans, "start") : [])),
    bit(piece),
    ...sides.flatMap((_, side) => (piece.spans[side] && piece.spans[side] !== pieces[k + 1]?.spans[side] ? named(group, runs, side, piece.spans, "end") : [])),
  ]);
  const tail = gapOf(group, n, tokens.length);
  return tail ? [...made, make("span", { class: "near" }, tail)] : made;
}

// A piece of text: gold is a bar above it, the first and the second prediction are bars below it.
function bit({ spans, text }) {
  const classes = ["bit"], colours = [];
  ["g", "p", "q"].forEach((name, side) => {
    const span = spans[side];
    if (!span) return;
    colours.push(`--${name}: ${span.label < 0 ? "var(--dim)" : `var(--l${span.label % 8})`}`);
    if (span.missed || span.kind !== undefined) classes.push(`${name}-wrong`);
  });
  return make("span", { class: classes.join(" "), style: colours.length ? colours.join("; ") : null }, text);
}

// The name of a span: gold before it, a prediction behind it. One run's right prediction says both.
function named(group, runs, side, spans, where) {
  const span = spans[side];
  if (side === 0) {
    const said = runs.length === 1 && spans[1] && spans[1].kind === undefined && spans[1].start === span.start;
    return where === "start" && !said ? [chip(group, span, "gold", labelName(group, span.label))] : [];
  }
  if (where === "start") return [];
  const mark = runs.length === 2 ? `${runs[side - 1].number} ` : "";
  const said = `${mark}${span.kind === undefined ? "✓" : "✕"} ${labelName(group, span.label)} ${shownConfidence(span.confidence)}`;
  return [chip(group, span, "pred", said.trim())];
}

const chip = (group, span, side, said) => make("span", { class: `chip ${side}`, style: colourOf(span.label), "aria-hidden": "true" }, said);

// The whole document, with the spans of all its sentences; the sentence itself is shaded.
function wholeOf(group, runs, n) {
  let first = n, last = n;
  while (group.documents[first - 1] === group.documents[n]) first--;
  while (group.documents[last + 1] === group.documents[n]) last++;
  const box = make("div", { class: "line document", tabindex: "0" });
  for (let k = first; k <= last; k++) {
    const gap = gapOf(group, k, 0);
    box.append(make("span", { class: "near" }, k > first && !group.gaps ? " " : gap));
    box.append(make("span", { class: k === n ? "here" : "" }, ...written(group, runs, k)));
  }
  return box;
}

function spoken(group, runs, n) {
  const told = (spans) => spans.map((span) => `${labelName(group, span.label)} “${words(group, n, span)}”`).join(", ") || "none";
  const parts = [`Gold: ${told(goldSpans(group, n))}.`, ...runs.map((run) => `Run ${run.number}: ${told(predSpans(run, n))}.`)];
  return make("p", { class: "spoken" }, parts.join(" "));
}

function findings(group, run, n, number) {
  const gold = goldSpans(group, n), pred = predSpans(run, n);
  return rowsOf(run.errors[n], 3).map(([kind, g, p]) => {
    const item = make("li", {}, number === null ? null : make("span", { class: "num" }, number), make("b", {}, block("data").kinds[kind]));
    if (g >= 0) item.append(" gold ", tag(group, gold[g]), ` “${words(group, n, gold[g])}”`);
    if (p >= 0) item.append(g >= 0 ? ", predicted " : " predicted ", tag(group, pred[p]), ` “${words(group, n, pred[p])}” ${shownConfidence(pred[p].confidence)}`);
    return item;
  });
}

const tag = (group, span) => make("span", { class: "tag", style: colourOf(span.label) }, labelName(group, span.label));

function legendOf(state) {
  const runs = state.second ? [state.first, state.second] : [state.first];
  const names = runs.map((run) => `${run.number} ${run.name}`).join(", then ");
  return [
    make("span", {}, "bar above the text, name before it: gold; bar below, name behind: predicted by ", make("b", {}, names), ", ✓ right, ✕ wrong (dashed), with its confidence; dashed gold: missed altogether"),
    ...state.group.labels.map((_, label) => tag(state.group, { label })),
  ];
}
