// The way of a packet out of a container.

import { h } from "./dom.js";
import { size } from "./format.js";

const kinds = {
  link: "container's end", peer: "host's end", bridge: "bridge", rules: "packet filter", uplink: "uplink",
};

export class Path {
  constructor() {
    this.element = h("div", { class: "way" });
    this.before = new Map();
  }

  take(kind, path) {
    this.path = path;
  }

  render() {
    if (!this.path || this.path === this.drawn) return;
    this.drawn = this.path;
    const hops = this.path.hops ?? [];
    const moved = this.moved(hops);
    const list = h("ol", { class: "hops" }, hops.map((hop, i) => drawHop(hop, moved[i])));
    this.element.replaceChildren(
      this.path.shared
        ? h("p", { class: "lead" }, "This container has the host's network, and nothing on the way to it.") : "",
      list,
      this.path.ends ? h("p", { class: "lead" }, this.path.ends) : "");
    this.before = new Map(hops.map((hop) => [hop.kind, hop.received + hop.sent]));
  }

  // moved tells of each hop whether packets have passed it since the last look; where nobody counts, it is as it
  // was before.
  moved(hops) {
    let last = false;
    return hops.map((hop) => {
      if (hop.counted) last = this.before.has(hop.kind) && this.before.get(hop.kind) !== hop.received + hop.sent;
      return last;
    });
  }
}

function drawHop(hop, moved) {
  const classes = ["hop", hop.inside && "inside", !hop.up && "down", moved && "moved"];
  return h("li", { class: classes.filter(Boolean).join(" ") },
    h("p", { class: "kind" }, kinds[hop.kind] ?? hop.kind),
    h("h3", {}, hop.name, hop.up ? null : h("span", { class: "alarm" }, hop.kind === "rules" ? " off" : " down")),
    h("div", {}, (hop.addresses ?? []).map((a) => h("p", { class: "address" }, a))),
    h("div", {}, (hop.facts ?? []).map((f) => h("p", { class: "fact" }, f))),
    h("p", { class: "carried" }, hop.counted
      ? [h("span", {}, `↓ ${size(hop.received)}`), h("span", {}, `↑ ${size(hop.sent)}`)] : null));
}
