// The mount tree.

import { h } from "./dom.js";

export class Mounts {
  constructor() {
    this.element = h("div", { class: "mounts" });
  }

  take(kind, tree) {
    this.tree = tree;
  }

  render() {
    if (!this.tree || this.tree === this.drawn) return;
    this.drawn = this.tree;
    this.element.replaceChildren(
      h("table", {},
        h("thead", {}, h("tr", {}, ["mount point", "type", "from, and how"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, (this.tree.mounts ?? []).map(row))),
      this.tree.more > 0 ? h("p", { class: "more" }, `and ${this.tree.more} more`) : "");
  }
}

function row(m) {
  return h("tr", {},
    h("th", { scope: "row" }, h("span", { class: "indent" }, "  ".repeat(m.depth)), m.target),
    h("td", { class: "type" }, m.type),
    h("td", { class: "how" },
      m.source !== m.type && m.source !== "none" ? h("span", { class: "source" }, m.source) : null,
      h("span", { class: "dim" }, " " + m.options.join(" ")),
      m.layers ? h("ol", { class: "layers" }, m.layers.map((l) => h("li", {}, l.kind, " ", h("code", {}, l.dir)))) : null));
}
