// One sentence as an element: gold above its words, predictions below, and its errors in words.

const colourOf = (label) => (label < 0 ? "" : `--c: var(--l${label % 8})`);

function card(state, n) {
  const { group, first, second } = state;
  const runs = second ? [first, second] : [first];
  const head = make("header", {}, make("span", { class: "doc" }, group.documents[n]), make("span", { class: "id" }, group.ids[n]),
    ...badges(runs, n));
  const made = make("article", { class: "sentence", tabindex: "0", "data-n": n, "aria-label": `Sentence ${group.ids[n]}` }, head);
  made.append(lineOf(group, runs, n), spoken(group, runs, n));
  const errors = runs.flatMap((run) => findings(group, run, n, second ? run.number : null));
  if (errors.length) made.append(make("ul", { class: "findings" }, ...errors));
  if (byId("prompts")) {
    const more = make("details", { class: "more" }, make("summary", {}, "Prompt and answer"));
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

function lineOf(group, runs, n) {
  const gold = goldSpans(group, n);
  const missed = runs.map((run) => new Set(rowsOf(run.errors[n], 3).filter(([, , pred]) => pred < 0).map(([, place]) => place)));
  gold.forEach((span, place) => (span.missed = missed.every((places) => places.has(place))));
  const preds = runs.map((run) => predSpans(run, n));
  const line = make("div", { class: "line" });
  group.tokens[n].forEach((token, i) => {
    const cell = make("span", { class: "cell" });
    if (gold.length) cell.append(lane(group, n, gold, i, "gold", (span) => labelName(group, span.label)));
    cell.append(make("span", { class: "word" }, token));
    preds.forEach((spans, which) => {
      const mark = runs.length === 2 ? `${runs[which].number} ` : "";
      const said = (span) => `${mark}${span.kind === undefined ? "✓" : "✕"} ${labelName(group, span.label)} ${shownConfidence(span.confidence)}`;
      if (spans.length) cell.append(lane(group, n, spans, i, "pred", said));
    });
    line.append(cell, " ");
  });
  return line;
}

// The part of a lane beside token i: a bar if a span covers it, with words where the span begins. Words that the span has
// room for take none of their own, so that they do not tear the text apart.
function lane(group, n, spans, i, side, say) {
  const span = spans.find((one) => one.start <= i && i < one.end);
  if (!span) return make("span", { class: `lane ${side}` });
  const classes = ["lane", side, "on"];
  if (span.start === i) classes.push("start");
  if (span.end === i + 1) classes.push("end");
  if (span.kind !== undefined || span.missed) classes.push("wrong");
  const text = span.start === i ? say(span).trim() : "";
  if (words(group, n, span).length > 0.8 * text.length) classes.push("roomy");
  const attributes = { class: classes.join(" "), style: colourOf(span.label), "aria-hidden": "true" };
  return make("span", attributes, text ? make("span", {}, text) : null);
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
    make("span", {}, "above the words: gold; below: predicted by ", make("b", {}, names), ", ✓ right, ✕ wrong (hatched), with its confidence; dashed gold: missed altogether"),
    ...state.group.labels.map((_, label) => tag(state.group, { label })),
  ];
}
