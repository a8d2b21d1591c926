// Which sentences are shown, in which order.

const FAILED = "failed", REPAIRED = "repaired", ANY = "any";

const lowered = new Map();

function loweredText(group, n) {
  if (!lowered.has(group)) lowered.set(group, new Array(group.ids.length));
  const texts = lowered.get(group);
  if (texts[n] === undefined) texts[n] = `${group.tokens[n].join(" ")}\n${group.ids[n]}`.toLowerCase();
  return texts[n];
}

// Whether a run's sentence has an error of the kind, and of the type if one is asked for.
function hasError(group, run, n, kind, type) {
  if (kind === FAILED) return n in run.failed;
  if (kind === REPAIRED) return n in run.repairs;
  const errors = run.errors[n], gold = group.gold[n], pred = run.pred[n];
  for (let i = 0; i < errors.length; i += 3) {
    if (kind !== ANY && errors[i] !== kind) continue;
    if (type === null) return true;
    const sides = [errors[i + 1] >= 0 ? gold[3 * errors[i + 1]] : -1, errors[i + 2] >= 0 ? pred[4 * errors[i + 2]] : -1];
    if (sides.includes(type)) return true;
  }
  return false;
}

function hasType(group, runs, n, type) {
  const gold = group.gold[n];
  for (let i = 0; i < gold.length; i += 3) if (gold[i] === type) return true;
  return runs.some((run) => {
    for (let i = 0; i < run.pred[n].length; i += 4) if (run.pred[n][i] === type) return true;
    return false;
  });
}

function hasConfidence(run, n, low, high, type) {
  const pred = run.pred[n];
  for (let i = 0; i < pred.length; i += 4) {
    if (pred[i + 3] >= 1000 * low && pred[i + 3] <= 1000 * high && (type === null || pred[i] === type)) return true;
  }
  return false;
}

// `first` and `second` compare the first two of the runs; the others compare all.
function hasFlip(flip, runs, n) {
  if (flip === "unsolved") return !runs.some((run) => isRight(run, n));
  if (!flip || runs.length < 2) return true;
  if (flip === "other") return differing(runs, n) > 0;
  const right = runs.map((run) => isRight(run, n));
  if (flip === "flipped") return right.includes(true) && right.includes(false);
  return flip === "first" ? right[0] && !right[1] : right[1] && !right[0];
}

// The number of pairs of runs that predict otherwise.
function differing(runs, n) {
  const sizes = new Map();
  for (const run of runs) {
    const key = predictionKey(run, n);
    sizes.set(key, (sizes.get(key) ?? 0) + 1);
  }
  let pairs = runs.length * runs.length;
  for (const size of sizes.values()) pairs -= size * size;
  return pairs / 2;
}

const keysOfRuns = new Map();

function predictionKey(run, n) {
  if (!keysOfRuns.has(run)) keysOfRuns.set(run, new Array(run.pred.length));
  const keys = keysOfRuns.get(run);
  if (keys[n] === undefined) keys[n] = n in run.failed ? FAILED : run.pred[n].filter((_, i) => i % 4 !== 3).join();
  return keys[n];
}

// The runs that filters and order are about: the columns of the grid, or the one or two runs whose texts are shown.
const watched = (state) => (state.view === "texts" ? (state.second ? [state.first, state.second] : [state.first]) : state.shown);

// The places of the sentences that pass all filters.
function choose(state) {
  const { group } = state, runs = watched(state);
  const text = state.text.toLowerCase().trim(), wanted = state.document.toLowerCase().trim();
  const ranged = state.low !== null || state.high !== null;
  const low = state.low ?? 0, high = state.high ?? 1;
  const kind = state.kind !== null ? state.kind : state.wrong ? ANY : null;
  const found = [];
  for (let n = 0; n < group.ids.length; n++) {
    if (wanted && !group.documents[n].toLowerCase().includes(wanted)) continue;
    if (kind !== null && !runs.some((run) => hasError(group, run, n, kind, state.type))) continue;
    if (state.wrong && !runs.some((run) => hasError(group, run, n, ANY, state.type))) continue;
    if (state.type !== null && !hasType(group, runs, n, state.type)) continue;
    if (ranged && !runs.some((run) => hasConfidence(run, n, low, high, state.type))) continue;
    if (!hasFlip(state.flip, runs, n)) continue;
    if (text && !loweredText(group, n).includes(text)) continue;
    found.push(n);
  }
  return ordered(found, state.order, runs);
}

// `order` may name a run by its number, as `run 3`: the sentences with most errors in that run come first.
function ordered(found, order, runs) {
  if (order === "") return found;
  const errors = (run, n) => (n in run.failed ? 1e6 : 0) + run.errors[n].length;
  const key = {
    errors: (n) => -runs.reduce((sum, run) => sum + run.errors[n].length, 0),
    differing: (n) => -differing(runs, n),
    confidence: (n) => Math.min(...runs.map((run) => leastConfidence(run, n))),
  }[order] ?? ((n) => -runs.filter((run) => order === `run ${run.number}`).reduce((sum, run) => sum + errors(run, n), 0));
  const keys = new Map(found.map((n) => [n, key(n)]));
  return found.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
}

function leastConfidence(run, n) {
  let least = 1001;
  for (let i = 3; i < run.pred[n].length; i += 4) if (run.pred[n][i] >= 0) least = Math.min(least, run.pred[n][i]);
  return least;
}
