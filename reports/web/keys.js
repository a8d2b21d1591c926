// Keys.

// The rows of the grid or the texts of the page, whichever is shown.
const steps = () => [...document.querySelectorAll(state.view === "grid" ? ".row" : ".sentence")];

function step(by) {
  if (state.view === "grid" && state.open !== null) return stepOpen(by);
  const all = steps(), at = all.indexOf(document.activeElement?.closest?.("[data-n]") ?? null);
  const next = all[at < 0 ? 0 : at + by];
  if (next) next.focus();
  else if (all.length) turn(state.page + by);
}

// Opens the next or previous sentence of those found, on the next page if need be.
function stepOpen(by) {
  const place = state.found.indexOf(state.open) + by;
  if (place < 0 || place >= state.found.length) return;
  state.open = state.found[place];
  state.page = Math.floor(place / state.sizes.grid);
  show();
  writeAddress(true);
  focusOpen();
}

function focusOpen() {
  const row = document.querySelector(".row.opened");
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "start" });
}

function close() {
  const n = state.open;
  if (n === null) return;
  state.open = null;
  show();
  writeAddress();
  document.querySelector(`.row[data-n="${n}"]`)?.focus({ preventScroll: true });
}

const toggle = (details) => { if (details) details.open = !details.open; };

const KEYS = {
  j: () => step(1), k: () => step(-1), n: () => turn(state.page + 1), p: () => turn(state.page - 1), Escape: close,
  "/": () => { byId("panel").open = true; byId("text").focus(); },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!state.group || !["grid", "texts"].includes(state.view)) return;
  if (event.key === "Enter" && event.target.matches(".row")) {
    openRow(Number(event.target.dataset.n), null);
  } else if (event.key === "Enter" && event.target.matches(".sentence")) {
    toggle(event.target.querySelector(".asks"));
  } else if (event.key === "w") {
    toggle((event.target.closest(".sentence") ?? document.querySelector(".detail .sentence"))?.querySelector(".whole"));
  } else if (event.key in KEYS) {
    event.preventDefault();
    KEYS[event.key]();
  }
}
