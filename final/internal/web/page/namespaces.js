// The namespaces of a container beside the host's.

import { h } from "./dom.js";

export class Namespaces {
  constructor() {
    this.element = h("div", { class: "namespaces" });
  }

  take(kind, list) {
    this.list = list;
  }

  render() {
    if (!this.list || this.list === this.drawn) return;
    this.drawn = this.list;
    this.element.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, ["namespace", "holds", "container", "", "host"].map((t, i) =>
        h(i === 3 ? "td" : "th", { scope: i === 3 ? null : "col", class: i === 2 ? "right" : null }, t)))),
      h("tbody", {}, this.list.map((n) => h("tr", { class: n.same ? "same" : "own" },
        h("th", { scope: "row" }, n.kind),
        h("td", { class: "holds" }, n.holds),
        h("td", { class: "inode right" }, n.container),
        h("td", { class: "sign" },
          h("span", { role: "img", "aria-label": n.same ? "the same as" : "another than" }, n.same ? "=" : "≠")),
        h("td", { class: "inode" }, n.host))))));
  }
}
