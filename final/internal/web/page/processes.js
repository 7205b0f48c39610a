// The process tree, with the numbers that the container and the host have.

import { h } from "./dom.js";

const states = {
  R: "runs", S: "sleeps", D: "waits for a device", T: "stopped", t: "traced", Z: "zombie", I: "idle", X: "dead",
};

export class Processes {
  constructor() {
    this.element = h("div", { class: "processes" });
  }

  take(kind, tree) {
    this.tree = tree;
  }

  render() {
    if (!this.tree || this.tree === this.drawn) return;
    this.drawn = this.tree;
    const heads = [
      ["container pid", "right"], ["host pid", "right"], ["command"], ["state"], ["threads", "right"], ["uid", "right"],
    ];
    this.element.replaceChildren(
      h("table", {},
        h("thead", {}, h("tr", {}, heads.map(([t, c]) => h("th", { scope: "col", class: c }, t)))),
        h("tbody", {}, (this.tree.processes ?? []).map(row))),
      this.tree.more > 0 ? h("p", { class: "more" }, `and ${this.tree.more} more`) : "");
  }
}

function row(p) {
  return h("tr", { class: p.state === "Z" ? "alarm" : null },
    h("td", { class: "inside right" }, p.inside),
    h("td", { class: "right" }, p.host),
    h("th", { scope: "row" },
      h("span", { class: "indent" }, p.depth > 0 ? "  ".repeat(p.depth - 1) + "└ " : ""), p.command),
    h("td", { class: "dim" }, states[p.state] ?? p.state),
    h("td", { class: "right dim" }, p.threads),
    h("td", { class: "right dim" }, p.user));
}
