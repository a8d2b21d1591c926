// What a run sent about a sentence and what came back, in tabs, and how two runs' prompts differ.

const UNRECORDED = "What was sent is not recorded: the run has no prompts.jsonl, as older runs have none.";

function askedOf(group, run, n) {
  const box = make("div", { class: "asked" }, make("h4", {}, make("span", { class: "num" }, run.number), run.name));
  const tabs = [["Request", requestOf], ["Reply", replyOf], ["Parameters", parametersOf], ["Tokens", tokensOf]];
  const bar = make("div", { class: "tabs", role: "tablist" }), panel = make("div", { role: "tabpanel", tabindex: "0" });
  const choose = (wanted) => {
    tabs.forEach(([, draw], place) => {
      bar.children[place].setAttribute("aria-selected", String(place === wanted));
      if (place === wanted) panel.replaceChildren(...draw(run, n));
    });
  };
  tabs.forEach(([name], place) => {
    const button = make("button", { type: "button", role: "tab" }, name);
    button.addEventListener("click", () => choose(place));
    bar.append(button);
  });
  box.append(bar, panel);
  choose(0);
  return box;
}

function requestOf(run, n) {
  const sent = block("prompts"), asked = sent.runs[run.number]?.[n];
  if (!asked) return [make("p", { class: "note" }, sent.runs[run.number] ? "Nothing is recorded as sent about this sentence." : UNRECORDED)];
  const made = [], turns = [];
  for (const [number, attempt] of asked.entries()) {
    for (const kind of ["demonstrations", "chunks"]) {
      const ids = (attempt[kind] ?? []).map((id) => id ?? "without an id");
      if (ids.length) made.push(make("p", { class: "note" }, `${kind}: ${ids.join(", ")}`));
    }
    for (const question of attempt.questions) {
      const key = [asked.length > 1 ? String(number) : "", question.key].filter(Boolean).join(":");
      if (key) made.push(make("h5", {}, `Question ${key}`));
      for (const turn of question.turns) {
        const [role, text] = [sent.parts[turn][0] ?? "", partText(sent.parts, turn)];
        turns.push({ role, content: text });
        made.push(make("p", { class: "role" }, role), make("pre", {}, text));
      }
    }
  }
  const whole = sent.rendered[run.number]?.[n];
  if (whole) made.push(make("p", { class: "role" }, "as the model's template writes it"), make("pre", { class: "rendered" }, whole));
  const text = () => turns.map(({ role, content }) => `[${role}]\n${content}\n`).join("\n");
  return [copyBar(["Copy", text], ["Copy as JSON", () => JSON.stringify(turns, null, 1)], ...(whole ? [["Copy as rendered", () => whole]] : [])), ...made];
}

// The text of a turn or chunk; numbers in it stand for other parts.
function partText(parts, number) {
  const text = parts[number][1];
  return typeof text === "string" ? text : text.map((piece) => (typeof piece === "string" ? piece : partText(parts, piece))).join("");
}

function replyOf(run, n) {
  const said = block(`answers-${run.number}`)?.answers[n];
  const answers = said !== null && typeof said === "object" ? Object.entries(said) : [["", said]];
  const written = (text) => (text === null || text === undefined ? "none" : typeof text === "string" ? text : JSON.stringify(text));
  const made = answers.flatMap(([key, text]) => [...(key ? [make("p", { class: "role" }, `answer ${key}`)] : []), make("pre", { class: "answer" }, written(text))]);
  return [copyBar(["Copy", () => answers.map(([key, text]) => (key ? `[${key}]\n` : "") + written(text)).join("\n\n")]), ...made];
}

function parametersOf(run) {
  const rows = block(`answers-${run.number}`)?.parameters ?? [];
  if (!rows.length) return [make("p", { class: "note" }, "The run records no settings of its model.")];
  return [copyBar(["Copy", () => rows.map((row) => row.join(": ")).join("\n")]), pairs(rows)];
}

function tokensOf(run, n) {
  const rows = Object.entries(block(`answers-${run.number}`)?.usage[n] ?? {}).map(([name, number]) => [name.replaceAll("_", " "), number.toLocaleString("en")]);
  if (!rows.length) return [make("p", { class: "note" }, "No tokens are recorded for this sentence.")];
  return [copyBar(["Copy", () => rows.map((row) => row.join(": ")).join("\n")]), pairs(rows)];
}

const pairs = (rows) => make("table", { class: "pairs" }, make("tbody", {}, ...rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)))));

function copyBar(...choices) {
  return make("div", { class: "copies" }, ...choices.map(([name, text]) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => copy(text(), button));
    return button;
  }));
}

// Copies text, also where a browser gives pages of files no clipboard; the button says whether it did.
async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", {}, text);
    document.body.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
  }
  const name = button.textContent;
  button.textContent = done ? "Copied" : "Not copied: the browser refuses";
  setTimeout(() => { button.textContent = name; }, 1500);
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
