// What a run asked about a sentence and what the model said, and how two runs' prompts differ.

function askedOf(group, run, n) {
  const box = make("div", { class: "asked" }, make("h4", {}, `${run.number} ${run.name}`));
  const prompt = block("prompts")[run.number];
  box.append(...answersOf(run, n));
  if (!prompt) box.append(make("p", { class: "note" }, "The prompt is not known: the run left no program.json with one."));
  for (const note of prompt?.notes ?? []) box.append(make("p", { class: "note" }, note));
  for (const question of prompt?.questions ?? []) {
    if (question.key) box.append(make("h5", {}, `Question ${question.key}`));
    for (const [role, text] of question.turns) {
      box.append(make("p", { class: "role" }, role), make("pre", {}, filled(text, question, prompt, group.tokens[n])));
    }
  }
  return box;
}

function answersOf(run, n) {
  const said = block(`answers-${run.number}`)?.[n];
  const answers = said !== null && typeof said === "object" ? Object.entries(said) : [["", said]];
  return answers.flatMap(([key, text]) => {
    const words = text === null || text === undefined ? "none" : typeof text === "string" ? text : JSON.stringify(text);
    return [make("p", { class: "role" }, key ? `answer ${key}` : "answer"), make("pre", { class: "answer" }, words)];
  });
}

// A turn with the sentence in its slot, its tokens shown as formats show them: on one line, none empty.
function filled(text, question, prompt, tokens) {
  const shown = tokens.map((token) => token.split(/\s+/u).filter(Boolean).join(" ") || "_");
  return text.split(prompt.slot).join(shown.join(question.separator));
}

function differenceOf(first, second) {
  const known = block("differences");
  if (!known) return null;
  const [one, other] = [known.prompts[first.number], known.prompts[second.number]];
  if (one === undefined || other === undefined) return ["The prompt of one of these runs is not known."];
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
