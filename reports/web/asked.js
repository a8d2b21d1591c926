// What a run asked about a sentence and what the model said, and how two runs' prompts differ.

function askedOf(group, run, n) {
  const box = make("div", { class: "asked" }, make("h4", {}, `${run.number} ${run.name}`));
  const sent = block("prompts"), asked = sent.runs[run.number]?.[n];
  box.append(...answersOf(run, n));
  if (!asked) box.append(make("p", { class: "note" }, "What was sent is not recorded."));
  for (const [number, attempt] of (asked ?? []).entries()) {
    for (const kind of ["demonstrations", "chunks"]) {
      const ids = (attempt[kind] ?? []).map((id) => id ?? "without an id");
      if (ids.length) box.append(make("p", { class: "note" }, `${kind}: ${ids.join(", ")}`));
    }
    for (const question of attempt.questions) {
      const key = [asked.length > 1 ? String(number) : "", question.key].filter(Boolean).join(":");
      if (key) box.append(make("h5", {}, `Question ${key}`));
      for (const turn of question.turns) {
        box.append(make("p", { class: "role" }, sent.parts[turn][0] ?? ""), make("pre", {}, partText(sent.parts, turn)));
      }
    }
  }
  const whole = sent.rendered[run.number]?.[n];
  if (whole) box.append(make("p", { class: "role" }, "as the model's template writes it"), make("pre", { class: "rendered" }, whole));
  return box;
}

// The text of a turn or chunk; numbers in it stand for other parts.
function partText(parts, number) {
  const text = parts[number][1];
  return typeof text === "string" ? text : text.map((piece) => (typeof piece === "string" ? piece : partText(parts, piece))).join("");
}

function answersOf(run, n) {
  const said = block(`answers-${run.number}`)?.[n];
  const answers = said !== null && typeof said === "object" ? Object.entries(said) : [["", said]];
  return answers.flatMap(([key, text]) => {
    const words = text === null || text === undefined ? "none" : typeof text === "string" ? text : JSON.stringify(text);
    return [make("p", { class: "role" }, key ? `answer ${key}` : "answer"), make("pre", { class: "answer" }, words)];
  });
}

function differenceOf(first, second) {
  const known = block("differences");
  if (!known) return null;
  const [one, other] = [known.prompts[first.number], known.prompts[second.number]];
  if (one === undefined || other === undefined) return ["What was sent is not recorded for both runs."];
  if (one === other) return ["The prompts are the same."];
  const lines = known.diffs[`${Math.min(one, other)}-${Math.max(one, other)}`];
  return one < other ? lines : lines.map(turned);
}

// A line of a diff read the other way round.
function turned(line) {
  if (line.startsWith("@@")) return line.replace(/^@@ -(\S+) \+(\S+) @@/, "@@ -$2 +$1 @@");
  return line.startsWith("+") ? `-${line.slice(1)}` : line.startsWith("-") ? `+${line.slice(1)}` : line;
}

function showDifference(first, second) {
  const box = byId("difference"), lines = second ? differenceOf(first, second) : null;
  box.hidden = lines === null;
  if (lines === null) return;
  box.querySelector("summary").textContent = `What differs between the prompts of ${first.number} (−) and ${second.number} (+)`;
  const kinds = { "+": "plus", "-": "minus", "@": "place" };
  box.querySelector("pre").replaceChildren(...lines.map((line) => make("span", { class: kinds[line[0]] ?? "" }, `${line}\n`)));
}
