// A plot of one figure over the last minutes, with its limit.

import { h } from "./dom.js";

const window = 180_000; // milliseconds that it goes back
const gap = 4_000; // longer than this between two points: nobody looked

// steps are the tops that a scale can have: 1, 2, 5, 10, ... or powers of two for bytes.
function step(value, binary) {
  if (binary) return 2 ** Math.ceil(Math.log2(Math.max(value, 1024)));
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= value * 0.999);
}

export class Plot {
  // options: label, lines: [(point) => number], least: the smallest top, binary, words: (value) => text, and
  // marks: (point) => {share, kill}.
  constructor(options) {
    this.options = options;
    this.top = options.least;
    this.parts = {
      limit: h("line", { class: "limit" }),
      bars: h("path", { class: "throttled" }),
      area: h("path", { class: "area" }),
      kills: h("path", { class: "kill" }),
      minutes: h("path", { class: "minutes" }),
      base: h("line", { class: "base" }),
      topText: h("text", { class: "scale", y: "1em" }),
      limitText: h("text", { class: "limit-text", "text-anchor": "end" }),
      killText: h("text", { class: "kill-text" }),
      barText: h("text", { class: "kill-text" }),
      ago: [2, 1, 0].map(() => h("text", { class: "scale" })),
      lines: options.lines.map((_, i) => h("path", { class: i ? "line second" : "line" })),
    };
    const p = this.parts;
    this.element = h("svg", { role: "img", "aria-label": options.label },
      p.minutes, p.base, p.bars, p.area, p.limit, ...p.lines, p.kills,
      p.topText, p.limitText, p.killText, p.barText, ...p.ago);
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.element);
  }

  end() {
    this.sized.disconnect();
  }

  // show plots points up to a time.
  show(points, limit, now) {
    this.points = points;
    this.limit = limit;
    this.now = now;
    this.draw();
  }

  // scale chooses the top. It grows at once and shrinks late. The limit is in the picture as soon as the figure
  // comes near to it; before, the figure would be a flat line.
  scale(points) {
    const { lines, least, binary } = this.options;
    const peak = Math.max(0, ...points.flatMap((p) => lines.map((line) => line(p))));
    const near = this.limit > 0 && peak > this.limit * (this.near ? 0.1 : 0.2);
    this.near = near;
    const want = near
      ? Math.min(this.limit * 1.6, Math.max(this.limit * 1.2, peak * 1.05))
      : Math.max(least, step(peak * 1.1, binary));
    if (want > this.top || want < this.top * 0.45 || near) this.top = want;
  }

  draw() {
    const { width, height: whole } = this.element.getBoundingClientRect();
    const em = (this.em = parseFloat(getComputedStyle(this.element).fontSize)); // all that is drawn grows with the type
    const height = whole - 1.15 * em; // below it are the minutes
    if (!this.points || width < 20 || height < 20) return;
    const points = this.points.filter((p) => p.t > this.now - window);
    this.scale(points);
    const x = (t) => Math.round((1 - (this.now - t) / window) * width * 10) / 10;
    const y = (v) => Math.round((height - 2 - (Math.min(v, this.top) / this.top) * (height - 4)) * 10) / 10;
    this.drawFrame(width, height, y);
    this.drawLines(points, x, y, height);
    this.drawMarks(points, x, height);
  }

  drawFrame(width, height, y) {
    const { limit, limitText, topText, minutes, base } = this.parts;
    set(base, { x1: 0, x2: width, y1: height - 1, y2: height - 1 });
    set(minutes, { d: [1, 2].map((n) => `M${(width * n) / 3} 0V${height}`).join("") });
    this.parts.ago.forEach((text, i) => {
      const word = i < 2 ? `${2 - i} min ago` : "now";
      put(text, word, (width * (i + 1)) / 3, height + 0.95 * this.em, i < 2 ? "middle" : "end");
    });
    const words = this.options.words;
    const drawn = this.limit > 0 && this.near;
    limit.style.display = drawn ? "" : "none";
    if (drawn) set(limit, { x1: 0, x2: width, y1: y(this.limit), y2: y(this.limit) });
    limitText.textContent = this.limit > 0 ? `limit ${words(this.limit)}${drawn ? "" : " ↑"}` : "no limit";
    set(limitText, { x: width - 2, y: drawn ? y(this.limit) - 0.3 * this.em : 0.7 * this.em });
    set(limitText, { class: this.limit > 0 ? "limit-text" : "scale" });
    topText.textContent = drawn ? "" : words(this.top);
    set(topText, { x: 0, y: 0.7 * this.em });
  }

  drawLines(points, x, y, height) {
    this.parts.lines.forEach((path, i) => {
      const value = this.options.lines[i];
      let line = "", area = "", before = null, first = null;
      for (const p of points) {
        const broken = before === null || p.t - before.t > gap;
        if (broken && before) area += `V${height - 2}H${x(first.t)}Z`;
        if (broken) {
          first = p;
          area += `M${x(p.t)} ${height - 2}V${y(value(p))}`;
        } else area += `L${x(p.t)} ${y(value(p))}`;
        line += `${broken ? "M" : "L"}${x(p.t)} ${y(value(p))}`;
        before = p;
      }
      if (before) area += `V${height - 2}H${x(first.t)}Z`;
      set(path, { d: line || "M0 0" });
      if (i === 0) set(this.parts.area, { d: area || "M0 0" });
    });
  }

  // drawMarks draws what the kernel did: a band along the bottom while it held the container back, a line where it
  // killed.
  drawMarks(points, x, height) {
    const { marks } = this.options;
    const { bars, kills, killText, barText } = this.parts;
    if (!marks) return;
    let band = "", killed = "", held = null, kill = null, before = null;
    for (const p of points) {
      const mark = marks(p);
      if (mark.share > 0 && before) {
        band += `M${x(before.t)} ${height - 2}V${height - 2 - 0.7 * this.em * mark.share}H${x(p.t)}V${height - 2}Z`;
        held = p;
      }
      if (mark.kill > 0) {
        killed += `M${x(p.t)} 0V${height}`;
        kill = p;
      }
      before = p;
    }
    set(bars, { d: band || "M0 0" });
    set(kills, { d: killed || "M0 0" });
    put(barText, held && "throttled", held && x(held.t) - 0.2 * this.em, height - 1.1 * this.em, "end");
    const late = kill && x(kill.t) > x(this.now) * 0.7;
    const beside = (late ? -0.4 : 0.4) * this.em;
    put(killText, kill && "OOM kill", kill && x(kill.t) + beside, height / 2, late ? "end" : "start");
  }
}

// put writes a text at a place, or nothing.
function put(element, text, x, y, anchor) {
  element.textContent = text || "";
  if (text) set(element, { x, y, "text-anchor": anchor });
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
