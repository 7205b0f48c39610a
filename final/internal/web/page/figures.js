// The figures of a container: processor time, memory, tasks, network.

import { h, say } from "./dom.js";
import { bytes, processors, size, whole } from "./format.js";
import { Plot } from "./plot.js";

const rows = [
  {
    name: "cpu", limit: "cpu", least: 0.1, words: processors, lines: [(p) => p.cpu],
    big: (p) => [processors(p.cpu), "processors"],
    marks: (p) => ({ share: p.throttled }),
    alarm: (p) => p.throttled > 0 && `throttled in ${Math.round(p.throttled * 100)} % of the periods`,
    rest: "of the processors' time",
  },
  {
    name: "memory", limit: "memory", least: 1 << 20, binary: true, words: size, lines: [(p) => p.memory],
    big: (p) => bytes(p.memory),
    marks: (p) => ({ kill: p.oom }),
    alarm: (p, kills) => kills > 0 && `${kills} killed at the limit`,
    rest: "that cannot be taken back at will",
  },
  {
    name: "pids", limit: "pids", least: 5, words: whole, lines: [(p) => p.pids],
    big: (p) => [whole(p.pids), p.pids === 1 ? "task" : "tasks"],
    rest: "processes and their threads",
  },
  {
    name: "network", least: 1024, binary: true, words: (n) => size(n) + "/s",
    lines: [(p) => p.received, (p) => p.sent],
    big: (p) => [bytes(p.received)[0], bytes(p.received)[1] + "/s in"],
    second: (p) => [bytes(p.sent)[0], bytes(p.sent)[1] + "/s out"],
    rest: "all links but the loopback",
  },
];

export class Figures {
  constructor() {
    this.points = [];
    this.kills = 0;
    this.plots = rows.map((row) => new Plot({ ...row, label: row.name }));
    this.texts = rows.map(() => ({
      number: h("span", { class: "number" }, "–"), unit: h("span", { class: "unit" }),
      number2: h("span", { class: "number second" }), unit2: h("span", { class: "unit" }),
      note: h("p", { class: "note" }),
    }));
    this.element = h("div", { class: "figures" }, rows.map((row, i) => {
      const t = this.texts[i];
      return h("article", { class: "figure", id: "figure-" + row.name },
        h("header", {}, h("h3", {}, row.name), t.note),
        h("p", { class: "big" }, t.number, " ", t.unit, row.second ? [" ", t.number2, " ", t.unit2] : null),
        this.plots[i].element);
    }));
  }

  end() {
    this.plots.forEach((plot) => plot.end());
  }

  take(kind, { points, limits }) {
    if (kind === "history") {
      this.points = points;
      this.kills = 0;
    } else {
      const last = this.points.at(-1)?.t ?? 0;
      this.points = [...this.points, ...points.filter((p) => p.t > last)].slice(-180);
    }
    this.limits = limits;
  }

  render({ time, line }) {
    const point = this.points.at(-1);
    const killed = line?.oom ?? 0;
    rows.forEach((row, i) => {
      const t = this.texts[i];
      const limit = row.limit ? this.limits?.[row.limit] ?? 0 : 0;
      const now = line && line.pid ? point : null;
      const [number, unit] = now ? row.big(now) : ["–", ""];
      say(t.number, number);
      say(t.unit, unit);
      if (row.second) {
        const [number2, unit2] = now ? row.second(now) : ["", ""];
        say(t.number2, number2);
        say(t.unit2, unit2);
      }
      const alarm = now && row.alarm?.(now, killed);
      say(t.note, alarm || row.rest);
      t.note.classList.toggle("alarm", Boolean(alarm));
      this.plots[i].show(this.points, row.name === "network" ? 0 : limit, time);
      if (row.name === "network") this.plots[i].parts.limitText.textContent = "";
      this.plots[i].element.setAttribute("aria-label",
        `${row.name}, the last three minutes: now ${number} ${unit}${limit ? `, limit ${row.words(limit)}` : ""}`);
    });
  }
}
