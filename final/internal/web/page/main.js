// The page: which container and which view it shows, what it gets from the server, and its keys. All of its
// state is in the address (#container/view), so that a page can be gone back to, and kept.

import { byId, h, say } from "./dom.js";
import { Calls } from "./calls.js";
import { Figures } from "./figures.js";
import { Files } from "./files.js";
import { span } from "./format.js";
import { renderList } from "./list.js";
import { Mounts } from "./mounts.js";
import { Namespaces } from "./namespaces.js";
import { Path } from "./path.js";
import { Processes } from "./processes.js";

const views = [
  { name: "figures", title: "Figures", make: Figures },
  { name: "files", title: "Files", make: Files },
  { name: "namespaces", title: "Namespaces", make: Namespaces },
  { name: "mounts", title: "Mounts", make: Mounts },
  { name: "processes", title: "Processes", make: Processes },
  { name: "path", title: "Packets", make: Path },
  { name: "calls", title: "Calls", make: Calls },
];

const state = { list: null, id: "", view: "figures", shown: null, problem: "", filter: "", paused: false, lost: false };
let source = null;
let again = 0;

// connect asks for the list and the view. There is one stream at a time, and none while the page is hidden:
// what nobody sees is not measured.
function connect() {
  source?.close();
  source = null;
  clearTimeout(again);
  if (document.hidden) return;
  const query = state.id ? "?" + new URLSearchParams({ id: state.id, view: state.view }) : "";
  const stream = new EventSource("/stream" + query);
  source = stream;
  const on = (kind, act) => stream.addEventListener(kind, (event) => {
    if (stream !== source) return;
    act(JSON.parse(event.data));
    if (!state.paused) render();
  });
  on("list", takeList);
  on("problem", (text) => { state.problem = text; });
  for (const kind of ["history", ...views.map((v) => v.name)]) {
    on(kind, (value) => {
      state.problem = "";
      if (!state.paused || kind === "history" || kind === "figures") state.shown?.take(kind, value);
    });
  }
  stream.onopen = () => { state.lost = false; };
  stream.onerror = () => {
    if (stream !== source) return;
    stream.close();
    if (!state.lost) announce("The connection to the dashboard is lost.");
    state.lost = true;
    render();
    again = setTimeout(connect, 1500);
  };
}

function takeList(list) {
  const before = new Map((state.list?.containers ?? []).map((c) => [c.id, c]));
  for (const c of state.list ? list.containers : []) {
    const old = before.get(c.id);
    if (!old) announce(`${c.name} is ${c.status}.`);
    else if (old.status !== c.status) announce(`${c.name} is now ${c.status}.`);
    if (old && c.oom > old.oom) announce(`${c.name}: the kernel killed a process at the limit of memory.`);
  }
  state.list = list;
  if (!list.containers.some((c) => c.id === state.id)) {
    const next = visible()[0]?.id ?? "";
    if (next !== state.id) go(next, state.view, true);
  }
}

// announce tells a screen reader what happened; figures are not read out.
function announce(text) {
  say(byId("said"), text);
}

const visible = () => (state.list?.containers ?? []).filter((c) =>
  [c.name, c.image, c.status, c.id].some((t) => t.toLowerCase().includes(state.filter)));

// go shows a container in a view.
function go(id, view, quietly) {
  const address = "#" + [id, view].map(encodeURIComponent).join("/");
  if (quietly) history.replaceState(null, "", id ? address : "#");
  else location.hash = address;
  arrive(); // not when the browser says that the address has changed: a key that comes before that is for this view
}

// arrive reads the address, and makes the view that it names.
function arrive() {
  const [id = "", name = ""] = location.hash.slice(1).split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return ""; }
  });
  const view = views.find((v) => v.name === name) ?? views[0];
  if (state.shown && id === state.id && view.name === state.view) return;
  state.shown?.end?.();
  Object.assign(state, { id, view: view.name, shown: id ? new view.make() : null, problem: "" });
  state.paused = false;
  connect();
  render();
  byId("list").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function render() {
  const list = state.list;
  if (!list) return;
  const shown = visible();
  renderList(shown, state.id, state.view, list.time);
  const all = list.containers.length;
  say(byId("count"), shown.length < all ? `${shown.length} of ${all}` : String(all));
  say(byId("host"), list.host);
  say(byId("blind"), all > 0 ? [list.problem, ...(list.blind ?? [])].filter(Boolean).join("; ") : "");
  const status = state.lost ? "not connected" : state.paused ? "paused" : "live";
  say(byId("state"), status);
  byId("state").className = status.replace(" ", "-");
  document.body.classList.toggle("empty", all === 0);
  const line = list.containers.find((c) => c.id === state.id);
  renderHead(line, list);
  renderView(line, list);
}

function renderHead(line, list) {
  byId("head").hidden = byId("views").hidden = !line;
  if (!line) return;
  document.title = `${line.name} – containers`;
  say(byId("name"), line.name);
  const age = span(list.time - Date.parse(line.since));
  const about = [line.image, line.pid ? `${line.status}, ${age}` : line.status, line.pid ? `host pid ${line.pid}` : ""];
  say(byId("about"), about.filter(Boolean).join("  ·  "));
  if (!byId("views").firstChild) {
    byId("views").append(...views.map((v, i) =>
      h("a", { id: "view-" + v.name },
        h("kbd", { "aria-hidden": "true" }, String(i + 1)), h("span", { "data-title": v.title }, v.title))));
  }
  for (const v of views) {
    const link = byId("view-" + v.name);
    link.setAttribute("href", "#" + [line.id, v.name].map(encodeURIComponent).join("/"));
    if (v.name === state.view && !link.hasAttribute("aria-current")) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else if (v.name !== state.view) link.removeAttribute("aria-current");
  }
}

function renderView(line, list) {
  const place = byId("view");
  if (!line) {
    place.replaceChildren(empty(list));
    return;
  }
  place.setAttribute("aria-label", views.find((v) => v.name === state.view).title);
  if (state.problem) {
    place.replaceChildren(h("p", { class: "lead" }, state.problem));
    return;
  }
  if (place.firstElementChild !== state.shown.element) place.replaceChildren(state.shown.element);
  state.shown.render({ time: list.time, line });
}

// empty says how to get something to look at.
function empty(list) {
  const reasons = [list.problem, ...(list.blind ?? [])].filter(Boolean);
  return h("div", { class: "nothing" },
    h("h1", {}, "No container yet"),
    h("p", {}, "Type in a terminal of this machine:"),
    h("pre", {}, (list.hint ?? []).join("\n")),
    reasons.map((text) => h("p", { class: "alarm" }, text)));
}

function move(by) {
  const list = visible();
  const at = list.findIndex((c) => c.id === state.id);
  const next = list[Math.min(list.length - 1, Math.max(0, at + by))];
  if (next) go(next.id, state.view);
}

function turn(by) {
  const at = views.findIndex((v) => v.name === state.view);
  go(state.id, views[(at + by + views.length) % views.length].name);
}

function pause() {
  state.paused = !state.paused;
  announce(state.paused ? "Paused." : "Goes on.");
  render();
}

function search(open) {
  byId("search").hidden = !open;
  if (open) byId("filter").focus();
  else {
    byId("filter").value = state.filter = "";
    byId("filter").blur();
    render();
  }
}

function theme(next) {
  const names = ["system", "light", "dark"];
  const now = document.documentElement.dataset.theme ?? "system";
  const name = next ?? names[(names.indexOf(now) + 1) % names.length];
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  keep("theme", name);
  return name;
}

// fill takes the whole screen, or gives it back; a browser may refuse.
function fill() {
  const done = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  done.catch(() => announce("The browser does not give the whole screen."));
}

function enlarge(by) {
  const now = Number(recall("size") ?? 1);
  const size = Math.min(2, Math.max(0.6, now + by));
  document.documentElement.style.setProperty("--size", size);
  keep("size", size);
}

// What is kept from one visit to the next; a browser may forbid that.
function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* then not */ }
}
function recall(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

const keys = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  ArrowRight: () => turn(1), ArrowLeft: () => turn(-1),
  "?": () => byId("help").showModal(), "/": () => search(true), p: pause, f: fill,
  t: () => announce(`Colours: ${theme()}.`),
  "+": () => enlarge(0.1), "-": () => enlarge(-0.1), Escape: () => search(false),
};
views.forEach((v, i) => { keys[i + 1] = () => go(state.id, v.name); });

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (byId("help").open) {
    if (event.key === "?") byId("help").close();
    return;
  }
  const typing = event.target === byId("filter");
  if (typing && !["Escape", "Enter", "ArrowDown", "ArrowUp"].includes(event.key)) return;
  if (typing && event.key === "Enter") {
    byId("filter").blur();
    if (!visible().some((c) => c.id === state.id)) move(1);
    return;
  }
  const scrolls = event.target instanceof HTMLPreElement;
  const act = scrolls && event.key.startsWith("Arrow") ? null : keys[event.key];
  if (!act || (!state.id && /[0-9]|Left|Right/.test(event.key))) return;
  event.preventDefault();
  act();
});
byId("filter").addEventListener("input", (event) => {
  state.filter = event.target.value.trim().toLowerCase();
  render();
});
addEventListener("hashchange", arrive);
document.addEventListener("visibilitychange", connect);

if (recall("theme")) theme(recall("theme"));
enlarge(0);
arrive();
if (!state.id) connect();
