// The log records of a trace beside its waterfall: ticks above the rows in the same time, and, with `logs=1`, a list below
// them that follows the time in sight and the span that is open. Loaded where a trace has records.

import { KEYS } from "./page.js";
import { clamp, duration, integer } from "./rows.js";

const HEIGHT = 22; // of a line of the list
const OVERSCAN = 4;
const NEAR = 8; // pixels beside a tick that are still its own
const WARN = 13, ERROR = 17; // severity numbers
const LEVELS = ["trace", "debug", "info", "! warn", "⨯ error", "⨯ fatal"];
const SHAPES = { // taller and wider where it is worse
  plain: (x) => `M${x - 0.75} 7h1.5v8h-1.5z`,
  warn: (x) => `M${x} 5l4 6-4 6-4-6z`,
  fault: (x) => `M${x} 4l5.5 13h-11z`,
};

const shapeOf = ({ severity }) => (severity >= ERROR ? "fault" : severity >= WARN ? "warn" : "plain");
const levelOf = ({ severity }) => (severity > 0 ? LEVELS[Math.min(Math.floor((severity - 1) / 4), 5)] : "");

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

class Lane extends HTMLElement {
  async connectedCallback() {
    await customElements.whenDefined("mt-trace");
    this.timeline = this.closest("mt-trace")?.timeline;
    if (!this.timeline) return;
    this.records = [];
    this.seen = [];
    this.#build();
    this.timeline.chart.drawn = () => this.#follow();
    KEYS.o = () => this.isConnected && this.#toggle();
    if (this.timeline.rows) this.#follow();
  }

  disconnectedCallback() { if (this.timeline) this.timeline.chart.drawn = undefined; }

  #build() {
    this.button = this.querySelector("button");
    this.svg = this.querySelector("svg");
    this.paths = Object.fromEntries([...this.svg.children].map((path) => [path.getAttribute("class"), path]));
    this.button.addEventListener("click", () => this.#toggle());
    this.svg.addEventListener("pointermove", ({ clientX }) => this.#point(this.#near(clientX)));
    this.svg.addEventListener("pointerleave", () => this.#point(null));
    this.svg.addEventListener("click", ({ clientX }) => this.#open(this.#near(clientX), { logs: "1" }));
  }

  // The waterfall was drawn: other rows, another time, another span.
  #follow() {
    const { rows, view, chart, params } = this.timeline, isOpen = params.get("logs") === "1";
    if (rows.doc !== this.doc) return this.#load();
    const stamp = [chart.from, chart.to, chart.width, view.root, isOpen, view.span].join();
    if (!this.loaded) return;
    if (this.stamp === stamp) return this.#mark();
    this.stamp = stamp;
    this.seen = this.records.filter(({ at, row }) => at >= chart.from && at <= chart.to && this.#isWithin(row));
    this.#ticks();
    this.#dock(isOpen);
    this.#mark();
  }

  async #load() {
    const { rows } = this.timeline;
    Object.assign(this, { doc: rows.doc, loaded: false });
    const answer = await fetch(this.dataset.src).catch(() => null);
    if (!answer?.ok) return this.#tell("Log records could not be loaded");
    const { start, total, services, spans, records } = await answer.json(), by = Number(BigInt(start) - BigInt(rows.start));
    const places = new Map();
    for (let row = rows.count - 1; row >= 0; row--) places.set(rows.id(row), row);
    this.records = records.map(([ns, severity, span, service, text]) => {
      const row = places.get(spans[span]) ?? -1, shift = rows.extra(row).shift ?? 0;
      return { at: ns + by + shift, severity, span: spans[span] ?? "", row, service: services[service], text };
    }).sort((a, b) => a.at - b.at);
    Object.assign(this, { total, current: null, stamp: null, loaded: true });
    this.#tell(`${integer(total)} log record${total === 1 ? "" : "s"}`);
    this.#follow();
  }

  #tell(text) { this.button.textContent = text; }

  #isWithin(row) {
    const { rows, view } = this.timeline;
    return !view.root || (row >= rows.first && row < rows.last);
  }

  #x(at) {
    const { from, to } = this.timeline.chart;
    return (at - from) / (to - from || 1) * this.svg.clientWidth;
  }

  // A tick for each pixel and severity.
  #ticks() {
    const drawn = Object.fromEntries(Object.keys(SHAPES).map((name) => [name, new Set()]));
    for (const record of this.seen) drawn[shapeOf(record)].add(Math.round(this.#x(record.at)));
    for (const [name, places] of Object.entries(drawn)) this.paths[name].setAttribute("d", [...places].map(SHAPES[name]).join(""));
  }

  #near(clientX) {
    const x = clientX - this.svg.getBoundingClientRect().left, far = (record) => Math.abs(this.#x(record.at) - x);
    let best = null;
    for (const record of this.seen) { // of those on one pixel the worst
      if (far(record) < NEAR && (!best || Math.round(far(record)) < Math.round(far(best)) ||
        (Math.round(far(record)) === Math.round(far(best)) && record.severity > best.severity))) best = record;
    }
    return best;
  }

  // Shows which span said a record.
  #point(record) {
    this.pointed = record;
    this.svg.parentNode.title = record ? `${[levelOf(record), record.service].filter(Boolean).join(" ")}: ${record.text}` : "";
    this.#mark();
  }

  #mark() {
    const { pointed } = this, { rows, chart } = this.timeline, here = pointed ?? this.current;
    const said = pointed ? rows.shown[rows.place[pointed.row]] : -1; // it, or the row that hides it
    for (const [row, { row: element }] of chart.lines) element.classList.toggle("saying", row === said);
    this.paths.here.setAttribute("d", here && this.seen.includes(here) ? `M${this.#x(here.at)} 0v21` : "");
  }

  // Leads to the span that said it.
  #open(record, changes = {}) {
    if (!record) return;
    this.current = record;
    const span = record.span || this.timeline.view.span;
    this.timeline.go({ ...changes, span: span || null }, span !== this.timeline.view.span);
  }

  async #toggle() {
    const isOpen = this.timeline.params.get("logs") === "1";
    await this.timeline.go({ logs: isOpen ? null : "1" });
    this.#follow();
    if (isOpen) this.button.focus(); else this.list?.focus();
  }

  // The list, where it is wanted.
  #dock(isOpen) {
    const { timeline } = this, wasOpen = Boolean(this.panel);
    this.button.ariaExpanded = String(isOpen);
    if (isOpen && !wasOpen) this.#makePanel();
    if (!isOpen && wasOpen) {
      this.panel.remove();
      this.panel = this.list = null;
    }
    if (isOpen !== wasOpen) timeline.chart.measure();
    if (!isOpen) return;
    this.#say();
    this.items.style.height = `${this.seen.length * HEIGHT}px`;
    if (this.current && !this.seen.includes(this.current)) this.current = null;
    if (timeline.view.span !== this.shownSpan) this.#reveal();
    this.#list();
  }

  #makePanel() {
    this.items = made("div", { role: "presentation" });
    this.sum = made("output");
    this.list = made("div", { className: "list", role: "listbox", tabIndex: 0, ariaLabel: "Log records in sight" }, this.items);
    const close = made("button", { type: "button", className: "close", textContent: "✕", ariaLabel: "Close the list of log records", onclick: () => this.#toggle() });
    const all = made("a", { href: this.dataset.all, textContent: "Search them" });
    this.panel = made("section", { className: "records", ariaLabel: "Log records" }, made("p", {}, made("b", { textContent: "Log records" }), this.sum, all, close), this.list);
    this.list.addEventListener("scroll", () => this.#list(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", ({ target }) => this.#open(this.#recordOf(target)));
    this.list.addEventListener("pointerover", ({ target }) => this.#point(this.#recordOf(target)));
    this.list.addEventListener("pointerleave", () => this.#point(null));
    this.closest(".sheet").after(this.panel);
    this.shownSpan = "";
  }

  #say() {
    const { seen, records, total } = this, none = "none in this part of the trace";
    const text = seen.length === records.length ? integer(total) : seen.length ? `${integer(seen.length)} of ${integer(total)} in sight` : none;
    this.sum.textContent = total > records.length ? `${text}; the first ${integer(records.length)} are listed` : text;
  }

  // Brings the first record of the span that is open into sight, unless one of its records was chosen.
  #reveal() {
    const { span } = this.timeline.view;
    this.shownSpan = span;
    if (this.current?.span !== span) this.current = this.seen.find((record) => span && record.span === span) ?? this.current;
    const place = this.seen.indexOf(this.current), { list } = this, top = place * HEIGHT;
    if (place >= 0 && (top < list.scrollTop || top + HEIGHT > list.scrollTop + list.clientHeight)) list.scrollTop = top - HEIGHT;
  }

  #scrollTo(place) {
    const { list } = this, top = place * HEIGHT;
    list.scrollTop = clamp(list.scrollTop, top + HEIGHT - list.clientHeight, top);
  }

  #recordOf(target) { return this.seen[target.closest("[role=option]")?.place] ?? null; }

  // Only the lines in sight exist.
  #list() {
    const { list, seen } = this, { span } = this.timeline.view;
    const first = Math.max(Math.floor(list.scrollTop / HEIGHT) - OVERSCAN, 0);
    const last = Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + OVERSCAN;
    this.items.replaceChildren(...seen.slice(first, last).map((record, i) => this.#line(record, first + i, span)));
    list.setAttribute("aria-activedescendant", this.items.querySelector("[aria-selected=true]")?.id ?? "");
  }

  #line(record, place, span) {
    const part = (className, textContent) => made("span", { className, textContent });
    const { at, service, text } = record, sign = at < 0 ? "−" : "+";
    const line = made("div", {
      id: `record-${place}`, role: "option", className: `${shapeOf(record)}${span && record.span === span ? " own" : ""}`, place, title: text,
      ariaSelected: String(record === this.current), ariaPosInSet: place + 1, ariaSetSize: this.seen.length,
    }, part("when", sign + duration(Math.abs(at))), part("level", levelOf(record)), part("of", service), part("text", text || "(no text)"));
    line.style.transform = `translateY(${place * HEIGHT}px)`;
    return line;
  }

  #key(event) {
    const { seen, list } = this, at = seen.indexOf(this.current), page = Math.floor(list.clientHeight / HEIGHT) - 1;
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: seen.length };
    if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") this.#open(this.current);
    else if (event.key in steps && seen.length) this.#move(clamp(steps[event.key], 0, seen.length - 1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(place) {
    this.current = this.seen[place];
    this.#scrollTo(place);
    this.#list();
    this.#point(this.current);
  }
}

customElements.define("mt-lane", Lane);
