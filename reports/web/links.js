// The state of the page in its address, as `#view=grid&runs=1.3&kind=missed&s=note7:0`, so that it can be sent, and Back works.

const NAMED = ["kind", "type"]; // written by the names of their options, not by their numbers
const WRITTEN = ["flip", "document", "text", "low", "high", "order"];
const USUAL = { order: "errors" };
const SIZES = { grid: 50, texts: 25 };

function addressOf(state) {
  const said = new URLSearchParams({ view: state.view });
  const put = (key, value, usual = "") => { if (String(value) !== String(usual)) said.set(key, value); };
  if (!state.group) return String(said);
  const runs = runsOf(state.group);
  if (state.group !== block("data").groups[0]) said.set("group", state.group.number);
  put("runs", state.shown.map((run) => run.number).join("."), runs.map((run) => run.number).join("."));
  put("a", state.first.number, runs[0].number);
  put("b", state.second?.number ?? "");
  for (const key of NAMED) put(key, byId(key).value === "" ? "" : byId(key).selectedOptions[0].textContent);
  for (const key of WRITTEN) put(key, byId(key).value, USUAL[key] ?? "");
  if (byId("wrong").checked) said.set("wrong", "1");
  put("page", state.page + 1, 1);
  for (const view of Object.keys(SIZES)) put(`${view}-size`, state.sizes[view], SIZES[view]);
  if (state.open !== null) said.set("s", state.group.ids[state.open]);
  return String(said);
}

// Sets the controls and the state to an address; what it does not name is as usual.
function takeAddress(said) {
  const views = [...document.querySelectorAll("nav [data-view]")].map((link) => link.dataset.view), view = said.get("view");
  state.view = views.includes(view) ? view : "grid";
  const { groups, runs } = block("data");
  if (!groups.length) return;
  const named = (number) => runs.find((run) => String(run.number) === number);
  const first = named(said.get("a"));
  setGroup(groups.find((group) => String(group.number) === said.get("group")) ?? groups[first?.group ?? 0]);
  const own = runsOf(state.group), wanted = (said.get("runs") ?? "").split(".");
  const shown = own.filter((run) => wanted.includes(String(run.number)));
  state.shown = shown.length ? shown : own;
  state.first = own.includes(first) ? first : own[0];
  state.second = own.find((run) => String(run.number) === said.get("b") && run !== state.first) ?? null;
  for (const key of NAMED) {
    const option = [...byId(key).options].find((one) => one.value !== "" && one.textContent === said.get(key));
    byId(key).value = option?.value ?? "";
  }
  for (const key of WRITTEN) byId(key).value = said.get(key) ?? USUAL[key] ?? "";
  if (byId("order").selectedIndex < 0) byId("order").value = USUAL.order;
  if (byId("flip").selectedIndex < 0) byId("flip").value = "";
  byId("wrong").checked = said.get("wrong") === "1";
  const sizes = [...byId("size").options].map((option) => Number(option.value));
  for (const one of Object.keys(SIZES)) state.sizes[one] = sizes.find((size) => String(size) === said.get(`${one}-size`)) ?? SIZES[one];
  const id = said.get("s"), place = id === null ? -1 : state.group.ids.indexOf(id);
  state.open = place < 0 ? null : place;
  state.lost = place < 0 ? id : null;
  state.page = Math.max(0, Math.floor(Number(said.get("page") ?? 1) || 1) - 1);
}

let lastAddress = null;

// Typing replaces the address; everything else can be undone by Back.
function writeAddress(replace = false) {
  const said = addressOf(state);
  if (said === location.hash.slice(1) || (lastAddress === null && location.hash === "" && said === "view=grid")) return;
  lastAddress = said;
  if (replace) location.replace(`#${said}`);
  else location.hash = said;
}

function onAddress() {
  const said = location.hash.slice(1);
  if (said === lastAddress || (said !== "" && !said.includes("="))) return; // our own change, or a jump on the page
  lastAddress = said;
  takeAddress(new URLSearchParams(said));
  update({ keep: true, write: false });
}

function copyLink(button) {
  writeAddress(true);
  copy(location.href, button);
}
