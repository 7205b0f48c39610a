// The list of the containers.

import { byId, h, say } from "./dom.js";
import { processors, size, span } from "./format.js";

const rows = new Map(); // by id: an element stays, so that focus does

export function renderList(containers, selected, view, time) {
  const list = byId("list");
  for (const c of containers) {
    let row = rows.get(c.id);
    if (!row) rows.set(c.id, (row = makeRow()));
    fill(row, c, c.id === selected, view, time);
  }
  const wanted = containers.map((c) => rows.get(c.id).element);
  for (const [id, row] of rows) {
    if (!wanted.includes(row.element)) {
      row.element.remove();
      rows.delete(id);
    }
  }
  wanted.forEach((element, i) => {
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
}

function makeRow() {
  const row = {
    link: h("a", {}), name: h("b", {}), image: h("span", { class: "image" }), status: h("span", { class: "status" }),
    use: h("span", { class: "use" }), oom: h("span", { class: "alarm oom" }),
  };
  row.link.append(row.name, row.status, row.image, row.use, row.oom);
  row.element = h("li", {}, row.link);
  return row;
}

function fill(row, c, selected, view, time) {
  row.link.setAttribute("href", "#" + [c.id, view].map(encodeURIComponent).join("/"));
  row.link.className = c.pid ? c.status : "ended";
  if (selected) row.link.setAttribute("aria-current", "true");
  else row.link.removeAttribute("aria-current");
  say(row.name, c.name);
  say(row.image, c.image);
  say(row.status, c.status === "running" ? span(time - Date.parse(c.since)) : c.status);
  say(row.use, c.pid ? `${processors(c.cpu)} cpu   ${size(c.memory)}` : "");
  say(row.oom, c.pid && c.oom > 0 ? `${c.oom} OOM` : "");
}
