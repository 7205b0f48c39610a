// The system calls of a container as it makes them: how many of which, and the last ones in words.

import { h, say } from "./dom.js";
import { took, whole } from "./format.js";

const most = 120; // lines that stay

export class Calls {
  constructor() {
    this.total = h("span", { class: "number" }, "–");
    this.all = h("span", { class: "unit" });
    this.engine = h("p", { class: "engine" });
    this.rates = h("tbody", {});
    this.recent = h("ol", { class: "recent" });
    this.reason = h("p", { class: "lead" });
    this.element = h("div", { class: "calls" },
      h("section", { class: "rates" },
        h("p", { class: "big" }, this.total, " ", this.all),
        this.engine,
        h("table", {},
          h("thead", {}, h("tr", {}, ["call", "a second", "in all", "errors"].map((t, i) =>
            h("th", { scope: "col", class: i > 0 ? "right" : null }, t)))),
          this.rates)),
      h("section", { class: "stream", "aria-label": "The last calls" }, this.reason, this.recent));
    this.pending = [];
  }

  take(kind, tally) {
    this.tally = tally;
    this.pending.push(...tally.recent);
    if (tally.unsaid > 0) this.pending.push({ unsaid: tally.unsaid });
    this.pending = this.pending.slice(-most);
  }

  render() {
    const t = this.tally;
    if (!t) return;
    say(this.reason, t.reason ?? "");
    this.reason.hidden = !t.reason;
    this.element.classList.toggle("none", Boolean(t.reason) && t.total === 0);
    say(this.total, whole(t.byNow));
    say(this.all, "calls a second");
    say(this.engine, `${whole(t.total)} in all, seen by ${{ ebpf: "eBPF", ptrace: "ptrace" }[t.engine] ?? t.engine}` +
      (t.why ? ` (${t.why})` : "") + (t.dropped > 0 ? `; ${whole(t.dropped)} calls are missing` : ""));
    this.engine.hidden = !t.engine;
    const peak = Math.max(1, ...t.rates.map((r) => r.byNow));
    this.rates.replaceChildren(...t.rates.map((r) => {
      const bar = h("span", { class: "bar" });
      bar.style.inlineSize = `${Math.min(100, (r.byNow / peak) * 100)}%`;
      return h("tr", {},
        h("th", { scope: "row" }, bar, h("span", { class: "call" }, r.name)),
        h("td", { class: "right" }, whole(r.byNow)),
        h("td", { class: "right dim" }, whole(r.calls)),
        h("td", { class: r.failed ? "right alarm" : "right dim" }, whole(r.failed)));
    }));
    this.append();
  }

  // append adds the new lines; the same call again, and again, is one line.
  append() {
    const lines = [];
    for (const c of this.pending) {
      const last = lines.at(-1);
      if (last && !c.unsaid && last.call.text === c.text && last.call.pid === c.pid) last.times++;
      else lines.push({ call: c, times: 1 });
    }
    this.pending = [];
    this.recent.append(...lines.map(({ call, times }) => call.unsaid
      ? h("li", { class: "unsaid" }, `… ${whole(call.unsaid)} more`)
      : h("li", { class: call.failed ? "failed" : null },
        h("span", { class: "pid" }, call.pid), h("code", {}, call.text),
        h("span", { class: "took" }, times > 1 ? `× ${times}` : took(call.seconds)))));
    while (this.recent.childElementCount > most) this.recent.firstElementChild.remove();
    this.recent.scrollTop = this.recent.scrollHeight;
  }
}
