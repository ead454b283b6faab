// The timeline of a trace's page: what the address says is what is seen, and what a person does becomes an address.
// All that is outside the element comes through `source`: the same module works in a file that was saved from the page.

import { CUT, MISSING, NO_SPAN, RUN, Rows, clamp, integer, readView } from "./rows.js";
import { Waterfall, parts } from "./waterfall.js";

const ORDER = "view span find only show hide without min root t depth x runs skew gaps logs".split(" ");
const MOST_TOGGLED = 40; // rows in the address; more are kept with the history's entry
const LEAST_NS = 10; // of a zoom
const ALIASES = { ArrowDown: "j", ArrowUp: "k", ArrowLeft: "h", ArrowRight: "l", "=": "+" };

// Parameters as the server writes them.
export const query = (params) => String(params).replace(/%2C|%3A/g, decodeURIComponent);

const pick = (params, ...names) =>
  new URLSearchParams(names.flatMap((name) => params.getAll(name).map((value) => [name, value])));

// A set with some elements more, or without them if it has them.
const toggled = (set, some) => [...new Set(set).symmetricDifference(new Set(some))];

export class Timeline {
  #leaving = new AbortController();

  constructor(element, source) {
    Object.assign(this, { element, source, ids: "", sought: "" });
    Object.assign(this, parts(element, "tools", "found", "problem", "focus", "heads", "divider", "hiding"));
    this.box = this.tools.elements.find;
    this.chart = new Waterfall(element, this.#leaving.signal);
    this.#start(this.#leaving.signal);
  }

  async #start(signal) {
    const { source } = this, come = () => this.#apply(source.read(), history.state ?? {});
    this.#write(source.read()); // who comes back to this entry comes back to us
    await come();
    this.#widen(history.state.who);
    this.#listen(signal);
    source.watchAddress(come, signal);
    source.watchSpans?.(() => this.#refresh(), signal);
  }

  stop() {
    this.#leaving.abort();
    clearTimeout(this.writing);
  }

  // The address with a few other parameters. Where somebody went is pushed, an adjustment replaces.
  go(changes, isPushed, x) {
    const params = new URLSearchParams(this.params);
    for (const [name, value] of Object.entries(changes)) {
      params.delete(name);
      for (const one of [value ?? []].flat()) params.append(name, one);
    }
    return this.#visit(params, isPushed, x);
  }

  #visit(params, isPushed, x = null) {
    const sorted = pick(params, ...ORDER);
    this.#keep({ top: this.chart.scroller.scrollTop });
    this.#write(sorted, isPushed, { x });
    return this.#apply(sorted, { x });
  }

  #keep(state) { this.#write(this.params, false, state); }

  #write(params, isPushed, kept) {
    const state = { ...history.state, ...kept, htmx: true }; // htmx restores no entry of others
    history[isPushed ? "pushState" : "replaceState"](state, "", this.source.url(query(params)));
  }

  // Shows what an address says; `top` and `x` were kept with it, if somebody comes back to it.
  async #apply(params, { top, x }) {
    this.params = params;
    const { chart } = this, anchor = chart.anchor(), { hasFocus } = chart;
    await this.#load(params);
    if (params !== this.params || !this.rows) return; // something else was asked for meanwhile
    const { rows } = this, view = this.view = readView(params);
    view.toggled = new Set((x ?? view.toggled).map((key) => (rows.find(key) < 0 ? key : rows.short(rows.find(key)))));
    this.rest = query(pick(params, ...ORDER.slice(2)));
    if (view.find !== this.sought) this.#seek(view.find);
    rows.see(view);
    chart.show(rows, view, (row) => this.#href(row));
    if (top === undefined) chart.restore(anchor); else chart.scroller.scrollTop = top;
    this.#reflect();
    await this.#select(hasFocus, top !== undefined);
  }

  // As it is shown now, with other rows or matches.
  #again() { return this.#apply(this.params, { x: [...this.view.toggled] }); }

  // One document has the whole trace. Of a trace too large for that, each subtree is one.
  async #load(params) {
    for (let wanted; wanted = this.#wanted(params), String(wanted) !== this.loaded;) {
      this.loaded = String(wanted);
      const doc = await this.source.rows(wanted).catch(() => this.#say("the rows could not be loaded"));
      if (doc) this.#use(doc);
    }
  }

  #wanted(params) { return pick(params, "runs", "skew", ...(this.isCut ? ["root"] : [])); }

  #use(doc) {
    const { chart } = this, cursor = this.rows?.isShown(chart.cursor) ? this.rows.key(chart.cursor) : "";
    this.rows = new Rows(doc);
    this.isCut ||= doc.cut > 0;
    for (const { value, nextElementSibling } of this.tools.elements.show) nextElementSibling.textContent = this.rows.countOf(value);
    this.#match(this.ids);
    chart.cursor = this.rows.find(cursor);
    chart.match = -1;
  }

  // Spans have come.
  async #refresh() {
    const doc = await this.source.rows(this.#wanted(this.params)).catch(() => null);
    if (!doc || doc === this.rows?.doc) return;
    const anchor = this.chart.anchor(), by = Number(BigInt(this.rows.start) - BigInt(doc.start)), { window } = this.view;
    this.#use(doc);
    if (by && window) this.params.set("t", window.map((ns) => `${(ns + by) / 1e6}ms`).join());
    if (this.sought) this.#ask();
    await this.#again();
    this.chart.restore(anchor);
  }

  #href(row) {
    const aim = `${this.rows.is(row, CUT) ? "root" : "span"}=${this.rows.id(row)}`;
    return this.source.url(this.rest ? `${aim}&${this.rest}` : aim);
  }

  // The tools show the address, too.
  #reflect() {
    const { params, view } = this;
    for (const field of this.tools.elements) {
      if (!field.name) continue;
      if (field.type === "checkbox") field.checked = params.getAll(field.name).join().split(",").includes(field.value);
      else if (field !== document.activeElement) field.value = params.get(field.name) ?? "";
    }
    this.focus.hidden = !view.root;
    this.hiding.classList.toggle("used", view.hide.length + view.without.length + view.min > 0);
    this.source.viewed?.(params);
    this.#count();
  }

  // The span beside the rows. The one of the first address is there already, if a server made the page.
  async #select(hasFocus, isBack) {
    const { span } = this.view, isThere = this.opened === undefined && document.querySelector("#detail > *");
    if (span === (this.opened ?? "")) return;
    const row = this.rows.find(span || this.opened), wasInside = !span && document.activeElement.closest("#detail");
    this.opened = span;
    if (!isBack) await this.#reveal(row, hasFocus || wasInside);
    if (!isThere && await this.source.detail(span) === false) this.opened = ""; // it can be asked for again
  }

  // Brings a row into sight, unfolding what hides it.
  async #reveal(row, isFocused) {
    const { rows } = this, hiding = [];
    for (let above = rows.parent[row]; above >= rows.first; above = rows.parent[above]) if (rows.folded[above]) hiding.push(above);
    if (hiding.length) await this.#toggle(hiding);
    if (rows.isShown(row)) this.chart.focus(row, isFocused);
  }

  #toggle(some) { return this.#fold(toggled(this.view.toggled, some.map((row) => this.rows.short(row)))); }

  #fold(keys, changes) {
    const x = keys.slice(0, MOST_TOGGLED).sort().join() || null;
    return this.go({ ...changes, x }, false, keys.length > MOST_TOGGLED ? keys : null);
  }

  #level(depth) { return this.#fold([], { depth: depth || null }); }

  #zoom(from, to) {
    const { duration } = this.rows, { view, params, chart } = this, width = clamp(to - from, LEAST_NS, duration);
    const start = clamp(from, 0, duration - width);
    view.window = width < duration ? [start, start + width] : null;
    if (view.window) params.set("t", view.window.map((ns) => `${+(ns / 1e6).toFixed(6)}ms`).join());
    else params.delete("t");
    chart.zoom(start, start + width);
    clearTimeout(this.writing); // the address waits until the pointer rests
    this.writing = setTimeout(() => this.go({}), 200);
  }

  #zoomBy(factor, at = (this.chart.from + this.chart.to) / 2) {
    const { from, to } = this.chart;
    this.#zoom(at - (at - from) * factor, at + (to - at) * factor);
  }

  #pan(share) {
    const { from, to } = this.chart, by = (to - from) * share;
    this.#zoom(from + by, to + by);
  }

  // Names and services are searched at once; all else by whoever has it, when the typing pauses.
  #seek(text) {
    this.sought = text;
    this.problem.textContent = "";
    this.#match("");
    this.chart.match = -1;
    this.#say("");
    this.asking?.abort();
    if (text) this.#ask(150);
  }

  #match(ids) {
    this.ids = ids;
    this.rows.match(this.sought.startsWith("{") ? "" : this.sought, ids);
  }

  async #ask(pause = 0) {
    const { signal } = this.asking = new AbortController();
    await new Promise((resolve) => setTimeout(resolve, pause));
    const answer = signal.aborted ? null : await this.source.find(this.sought, signal).catch(() => null);
    if (signal.aborted || !answer) return;
    this.problem.textContent = answer.problem ?? "";
    this.#match(answer.ids ?? "");
    await this.#again();
  }

  #count() {
    const { found } = this.rows, seen = this.rows.within(found), out = found.length - seen.length, all = integer(seen.length);
    const place = seen.indexOf(this.chart.match) + 1, text = place ? `${integer(place)} of ${all}` : `${all} found`;
    if (this.view.find) this.#say(out ? `${text}, ${integer(out)} hidden` : text);
  }

  #say(text) { if (this.found.textContent !== text) this.found.textContent = text; }

  // The next of some rows after the one that was visited last, round and round.
  async #walk(some, last, step) {
    const place = some.indexOf(last), row = some.at(place < 0 ? Math.min(step, 0) : (place + step) % some.length);
    if (some.length) await this.#reveal(row, document.activeElement !== this.box);
    return row;
  }

  async #nextMatch(step) {
    this.chart.match = await this.#walk(this.rows.within(this.rows.found), this.chart.match, step);
    this.chart.redraw();
    this.#count();
  }

  async #nextError(step) {
    const errors = this.rows.within(this.rows.errorRows());
    this.error = await this.#walk(errors, this.error, step);
    this.#say(errors.length ? `error ${errors.indexOf(this.error) + 1} of ${errors.length}` : "no errors");
  }

  #open(row) {
    const { rows } = this, span = rows.id(row);
    if (rows.is(row, RUN | MISSING)) return this.#toggle([row]);
    if (rows.is(row, CUT)) return this.go({ root: span, x: null, depth: null }, true);
    this.chart.cursor = row;
    return this.go({ span }, span !== this.view.span);
  }

  async #copy(text, what) {
    await navigator.clipboard.writeText(text).then(() => this.#say(`${what} copied`), () => this.#say("copying is not allowed here"));
  }

  // What keys do, and buttons, which name a key. A row is the cursor's, or that of the open span.
  do(name) {
    const { rows, chart, view } = this, { shown, place, folded } = rows;
    const cursor = rows.isShown(chart.cursor) ? chart.cursor : rows.find(view.span), hasRow = rows.isShown(cursor);
    const isParent = hasRow && rows.size[cursor] > 1, isOpen = isParent && !folded[cursor], isSpan = hasRow && !rows.is(cursor, NO_SPAN);
    const at = hasRow ? place[cursor] : -1, page = Math.floor(chart.scroller.clientHeight / chart.height) - 1;
    const to = (next) => shown.length && chart.focus(shown[clamp(next, 0, shown.length - 1)]);
    const levels = rows.levels - rows.top, depth = Math.min(view.depth || levels, levels);
    const actions = {
      j: () => to(at + 1),
      k: () => to(at - 1),
      Home: () => to(0),
      End: () => to(shown.length),
      PageDown: () => to(at + page),
      PageUp: () => to(at - page),
      l: () => (isOpen ? to(at + 1) : actions[" "]()),
      h: () => (isOpen ? actions[" "]() : actions.g()),
      g: () => hasRow && rows.parent[cursor] >= rows.first && chart.focus(rows.parent[cursor]),
      " ": () => isParent && this.#toggle([cursor]),
      Enter: () => hasRow && this.#open(cursor),
      close: () => this.go({ span: null }, true),
      "[": () => this.#level(1),
      "]": () => this.#fold(rows.withFlag(rows.usual).map((row) => rows.short(row)), { depth: null }),
      "fold-one": () => this.#level(Math.max(depth - 1, 1)),
      "unfold-one": () => this.#level(depth < levels - 1 ? depth + 1 : 0),
      "/": () => this.box.select(),
      n: () => this.#nextMatch(1),
      N: () => this.#nextMatch(-1),
      e: () => this.#nextError(1),
      E: () => this.#nextError(-1),
      c: () => this.go({ show: toggled(view.show, ["critical"]) }),
      r: () => isSpan && this.go({ root: rows.id(cursor), t: null }, true),
      u: () => this.go({ root: null, t: null }, true),
      z: () => hasRow && rows.length[cursor] && this.#zoom(rows.begin[cursor], rows.end(cursor)),
      "+": () => this.#zoomBy(1 / 2),
      "-": () => this.#zoomBy(2),
      0: () => this.#zoom(0, rows.duration),
      y: () => this.#keep() ?? this.#copy(document.URL, "link"), // with a zoom that the address waits for
      Y: () => (isSpan ? this.#copy(rows.id(cursor), "span id") : this.#copy(rows.trace, "trace id")),
      "?": () => document.getElementById("keys").showModal(),
      skew: () => this.go({ skew: this.params.has("skew") ? null : "raw" }),
      Escape: () => { // out of one layer: a menu, what was sought, the span, the zoom, the subtree
        const menu = document.querySelector(".menu[open]");
        if (menu) menu.open = menu.firstElementChild.focus();
        else if (view.find) this.go({ find: null, only: null });
        else if (view.span) actions.close();
        else if (view.window) actions[0]();
        else if (view.root) actions.u();
      },
    };
    actions[name]?.();
    return name in actions;
  }

  #listen(signal) {
    const { chart, tools, divider } = this, { scroller } = chart;
    const on = (target, type, listener, options) => target.addEventListener(type, listener, { signal, ...options });
    on(document, "keydown", (event) => this.#key(event), { capture: true }); // before the page's own "/"
    on(document, "click", (event) => this.#click(event));
    on(tools, "submit", (event) => event.preventDefault());
    on(tools, "input", () => {
      const fields = new FormData(tools), changes = {};
      for (const { name } of tools.elements) if (name) changes[name] = fields.getAll(name).filter(Boolean);
      this.go(changes);
    });
    on(scroller, "scrollend", () => this.#keep({ top: scroller.scrollTop }));
    on(chart.waterfall, "focusin", ({ target }) => { chart.cursor = chart.rowOf(target); });
    on(chart.waterfall, "dblclick", ({ target }) => target.closest(".time") && this.do("z"));
    on(this.element, "wheel", (event) => this.#wheel(event), { passive: false });
    for (const area of [chart.map, chart.ruler]) on(area, "pointerdown", (event) => this.#drag(event, area));
    on(divider, "pointerdown", (event) => follow(event, divider, ({ clientX }) => {
      const { left, width } = this.heads.getBoundingClientRect();
      this.#widen((clientX - left) / width * 100);
    }));
    for (const type of ["lostpointercapture", "keyup"]) on(divider, type, () => this.#keep({ who: Number(divider.ariaValueNow) }));
    on(divider, "keydown", ({ key }) => {
      this.#widen(Number(divider.ariaValueNow) + ({ ArrowLeft: -2, ArrowRight: 2 }[key] ?? 0));
    });
  }

  #widen(percent) {
    if (!percent) return;
    const who = this.divider.ariaValueNow = Math.round(clamp(percent, 15, 80));
    this.chart.sheet.style.setProperty("--who", `${who}%`);
    this.chart.measure();
  }

  #key(event) {
    const { key, target, shiftKey } = event, pan = shiftKey && { ArrowLeft: -0.2, ArrowRight: 0.2 }[key];
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector(":modal")) return;
    if (target === this.box) return this.#boxKey(event);
    if (target.closest("input:not([type=checkbox]), [role=separator]")) return;
    const isOfRows = key === " " || (key.length > 1 && key !== "Escape"); // they have another meaning elsewhere
    if (pan) this.#pan(pan);
    else if (/^[1-9]$/.test(key)) this.#level(key);
    else if (isOfRows && (shiftKey || !target.closest(".waterfall"))) return;
    else if (!this.do(ALIASES[key] ?? key)) return;
    event.preventDefault();
  }

  #boxKey(event) {
    const { key, shiftKey } = event;
    if (key !== "Enter" && key !== "Escape") return;
    event.preventDefault();
    if (key === "Enter") return this.#nextMatch(shiftKey ? -1 : 1);
    if (this.box.value) this.box.value = ""; else this.box.blur();
    this.go({ find: null, only: null });
  }

  #click(event) {
    const { target } = event, button = target.closest("[data-do]"), link = target.closest("a[href]"), row = this.chart.rowOf(target);
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
    const params = link && this.source.paramsOf(link), span = link?.dataset.span, menu = document.querySelector(".menu[open]");
    if (menu && !menu.contains(target)) menu.open = false;
    if (row >= 0) {
      if (target.closest(".fold") && this.rows.size[row] > 1) this.#toggle([row]);
      else if (getSelection().isCollapsed) this.#open(row); // or somebody has selected text
    } else if (button) this.do(button.dataset.do);
    else if (span) this.go({ span }, true);
    else if (params) this.#visit(params, true);
    else return;
    event.preventDefault();
  }

  #wheel(event) {
    const { deltaX, deltaY, shiftKey, target, clientX } = event, across = shiftKey ? deltaY || deltaX : deltaX;
    if (!target.closest(".time, .map, .ruler")) return;
    if (event.ctrlKey) this.#zoomBy(1.002 ** deltaY, this.chart.timeAt(clientX, target.closest(".map") ?? undefined));
    else if (this.view.window && Math.abs(across) > (shiftKey ? 0 : Math.abs(deltaY))) this.#pan(across / 1000);
    else return;
    event.preventDefault();
  }

  // Draws out a window on the map or the ruler, or moves one of its edges; a click beside it ends it.
  #drag(event, area) {
    const { chart } = this, { from, to } = chart, edge = event.target.closest(".edge"), isMap = area === chart.map;
    const start = chart.timeAt(event.clientX, area), fixed = !edge ? start : edge.nextSibling ? to : from;
    let window = null;
    follow(event, area, ({ clientX }) => {
      if (!window && Math.abs(clientX - event.clientX) < 4) return;
      window = [fixed, chart.timeAt(clientX, area)].sort((a, b) => a - b);
      if (isMap) this.#zoom(...window); // the ruler would move under the pointer
    }, () => {
      if (window) this.#zoom(...window);
      else if (isMap && (start < from || start > to)) this.do("0");
    });
  }
}

// Calls `move` until the pointer is let go of, then `end`.
function follow(event, element, move, end) {
  if (event.button) return;
  event.preventDefault();
  element.setPointerCapture(event.pointerId);
  element.addEventListener("pointermove", move);
  element.addEventListener("lostpointercapture", () => {
    element.removeEventListener("pointermove", move);
    end?.();
  }, { once: true });
}
