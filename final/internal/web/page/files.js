// The files behind the figures, with what they say now.

import { h } from "./dom.js";

// narrow takes the padding out of a table's line.
const narrow = (line) => line.replace(/ +/g, " ").trim();

export class Files {
  constructor() {
    this.element = h("div", { class: "files" });
    this.before = new Map();
  }

  take(kind, files) {
    this.files = files;
  }

  render() {
    if (!this.files || this.files === this.drawn) return;
    this.drawn = this.files;
    const groups = Map.groupBy(this.files, (f) => f.figure);
    this.element.replaceChildren(...[...groups].map(([figure, files]) => {
      const dirs = Map.groupBy(files, (f) => f.path.slice(0, f.path.lastIndexOf("/") + 1));
      return h("section", {}, h("h3", {}, figure),
        [...dirs].flatMap(([dir, inside]) => [h("p", { class: "dir" }, dir), ...inside.map((f) => this.file(f, dir))]));
    }));
    this.before = new Map(this.files.map((f) => [f.path, f.text.split("\n")]));
  }

  // file shows the lines that count, those that have changed since the last look in the accent's colour.
  file(f, dir) {
    const before = this.before.get(f.path) ?? [];
    const lines = f.text.split("\n");
    const shown = lines.filter((line) => !f.keys || f.keys.some((key) => line.startsWith(key + " ")));
    const changed = (line) => before.length > 0 && !before.includes(line);
    const rest = lines.length - shown.length;
    const wide = shown.some((line) => line.length > 40);
    return h("article", { class: wide ? "file wide" : "file" },
      h("h4", {}, f.path.slice(dir.length)),
      h("p", { class: "means" }, f.means, rest > 0 ? ` (${rest} more lines)` : null),
      h("pre", {}, shown.flatMap((line) =>
        [h("span", { class: changed(line) ? "changed" : null }, wide ? narrow(line) : line), "\n"])));
  }
}
