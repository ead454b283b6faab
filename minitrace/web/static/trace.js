// The timeline of a trace's page: what the address says is what is seen, and what a person does becomes an address.
// All that is outside the element comes through `source`: the same module works in a file that was saved from the page.

import { CUT, MISSING, NO_SPAN, RUN, Rows, integer, readView } from "./rows.js";
import { Waterfall } from "./waterfall.js";

const FIELDS = ["find", "only", "show", "hide", "without", "min", "runs", "skew", "gaps"]; // of the form
const ORDER = ["view", "span", ...FIELDS.slice(0, 6), "root", "t", "depth", "x", ...FIELDS.slice(6)];
const MOST_TOGGLED = 40; // rows in the address; more are kept with the history's entry
const LEAST_NS = 10; // of a zoom
const KEYS = {
  j: "down", k: "up", h: "out", l: "in", "[": "fold-all", "]": "unfold-all", "/": "find", n: "next", N: "previous",
  e: "error", E: "error-before", c: "critical", g: "parent", r: "root", u: "unroot", z: "zoom", 0: "zoom-reset",
  "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", y: "copy-link", Y: "copy-id", v: "view", "?": "keys", Escape: "back",
};
const ROW_KEYS = { // while a row has the focus
  ArrowDown: "down", ArrowUp: "up", ArrowLeft: "out", ArrowRight: "in", Home: "first", End: "last",
  PageDown: "page-down", PageUp: "page-up", Enter: "open", " ": "toggle",
};

export function mount(element, source) {
  const timeline = new Timeline(element, source);
  timeline.start();
  return { unmount: () => timeline.stop() };
}

// Parameters as the server writes them.
export const query = (params) => String(params).replaceAll("%2C", ",").replaceAll("%3A", ":");

class Timeline {
  #leaving = new AbortController();

  constructor(element, source) {
    Object.assign(this, { element, source, match: -1, ids: "", sought: "" });
    for (const name of ["tools", "found", "problem", "focus", "heads", "divider"]) this[name] = element.querySelector(`.${name}`);
    this.box = this.tools.elements.find;
    this.waterfall = new Waterfall(element, this.#leaving.signal);
  }

  async start() {
    const { address, watch } = this.source, come = () => this.#apply(address.read(), address.kept?.() ?? {});
    address.write(address.read(), false); // who comes back to this entry comes back to us
    await come();
    this.#widen(address.kept?.().who);
    this.#listen();
    address.watch?.(come, this.#leaving.signal);
    watch?.call(this.source, () => this.#refresh(), this.#leaving.signal);
  }

  stop() {
    this.#leaving.abort();
    this.asking?.abort();
    clearTimeout(this.writing);
    clearTimeout(this.scrolled);
  }

  // The address with a few other parameters. Where somebody went is pushed, an adjustment replaces.
  go(changes, isPushed = false, kept = {}) {
    const params = new URLSearchParams(this.params);
    for (const [name, value] of Object.entries(changes)) {
      params.delete(name);
      for (const one of [value ?? []].flat()) params.append(name, one);
    }
    return this.#visit(params, isPushed, kept);
  }

  #visit(params, isPushed, { x = null } = {}) {
    const sorted = new URLSearchParams(ORDER.flatMap((name) => params.getAll(name).map((value) => [name, value])));
    this.#keepScroll();
    this.source.address.write(sorted, isPushed, { x });
    return this.#apply(sorted, { x });
  }

  #keepScroll() { this.source.address.write(this.params, false, { top: this.waterfall.scroller.scrollTop }); }

  // Shows what an address says; `top` and `x` were kept with it, if somebody comes back to it.
  async #apply(params, { top, x }) {
    clearTimeout(this.writing);
    this.params = params;
    const { waterfall } = this, anchor = waterfall.anchor(), hasFocus = waterfall.waterfall.contains(document.activeElement);
    await this.#load(params);
    if (params !== this.params || !this.rows) return; // something else was asked for meanwhile
    const { rows } = this, view = this.view = readView(params);
    view.toggled = new Set((x ?? view.toggled).map((key) => this.#short(key)));
    const others = query(new URLSearchParams([...params].filter(([name]) => name !== "span")));
    this.rest = others && `&${others}`;
    if (view.find !== this.sought) this.#seek(view.find);
    rows.see(view);
    waterfall.show(rows, view, (row) => this.#href(row));
    if (top === undefined) waterfall.restore(anchor); else waterfall.scroller.scrollTop = top;
    this.#reflect();
    await this.#select(hasFocus, top !== undefined);
  }

  // One document has the whole trace. Of a trace too large for that, each subtree is one.
  async #load(params) {
    for (let wanted; wanted = this.#wanted(params), String(wanted) !== this.loaded;) {
      this.loaded = String(wanted);
      const doc = await this.source.rows(wanted).catch(() => this.#say("the rows could not be loaded"));
      if (doc) this.#use(doc);
    }
  }

  #wanted(params) {
    const names = ["root", "runs", "skew"].slice(this.isCut ? 0 : 1);
    return new URLSearchParams(names.flatMap((name) => params.getAll(name).map((value) => [name, value])));
  }

  #use(doc) {
    const cursor = this.rows?.isShown(this.waterfall.cursor) ? this.rows.key(this.waterfall.cursor) : "";
    this.rows = new Rows(doc);
    this.isCut ||= doc.cut > 0;
    this.rows.match(this.#words(), this.ids);
    this.waterfall.cursor = this.rows.find(cursor);
    this.match = this.waterfall.match = -1;
  }

  // Spans have come.
  async #refresh() {
    const doc = await this.source.rows(this.#wanted(this.params)).catch(() => null);
    if (!doc || doc === this.rows?.doc) return;
    const anchor = this.waterfall.anchor();
    this.#use(doc);
    if (this.sought) this.#ask(this.sought);
    await this.#apply(this.params, { x: [...this.view.toggled] });
    this.waterfall.restore(anchor);
  }

  #short(key) {
    const row = this.rows.find(key);
    return row < 0 ? key : this.rows.short(this.rows.key(row));
  }

  #href(row) {
    const { rows } = this, { prefix = "?" } = this.source.address;
    if (rows.is(row, CUT)) return `${prefix}root=${this.#ownerOf(row)}`;
    return `${prefix}span=${rows.id(row)}${this.rest}`;
  }

  // The span below which rows were left out.
  #ownerOf(row) { return this.rows.id(Math.max(this.rows.parent[row], 0)); }

  // The tools show the address, too.
  #reflect() {
    const { params, view } = this;
    for (const field of this.tools.elements) {
      if (!FIELDS.includes(field.name)) continue;
      if (field.type === "checkbox") field.checked = params.getAll(field.name).join().split(",").includes(field.value);
      else if (field !== document.activeElement) field.value = params.get(field.name) ?? "";
    }
    if (this.focus) this.focus.hidden = !view.root;
    if (view.find) this.#count();
  }

  // The span beside the rows. The one of the first address is there already, if a server made the page.
  async #select(hasFocus, isBack) {
    const { span } = this.view, isThere = this.opened === undefined && document.querySelector("#detail > *");
    if (span === (this.opened ?? "")) return;
    const row = this.rows.find(span || this.opened);
    this.opened = span;
    if (!isBack) await this.#reveal(row, hasFocus);
    if (!isThere) await this.source.detail(span || null);
  }

  // Brings a row into sight, unfolding what hides it.
  async #reveal(row, isFocused = true) {
    const { rows } = this, hiding = [];
    for (let above = rows.parent[row]; above >= rows.first; above = rows.parent[above]) if (rows.folded[above]) hiding.push(above);
    if (hiding.length) await this.#toggle(hiding);
    if (rows.isShown(row)) this.waterfall.focus(row, isFocused);
  }

  #toggle(some) {
    const keys = some.map((row) => this.rows.short(this.rows.key(row)));
    return this.#fold([...new Set(keys).symmetricDifference(this.view.toggled)]);
  }

  #fold(keys, changes = {}) {
    const isMany = keys.length > MOST_TOGGLED;
    return this.go({ ...changes, x: keys.slice(0, MOST_TOGGLED).sort().join() || null }, false, { x: isMany ? keys : null });
  }

  #level(depth) { return this.#fold([], { depth: depth || null }); }

  #zoom(from, to) {
    const { duration } = this.rows, { view, params } = this, width = Math.min(Math.max(to - from, LEAST_NS), duration);
    const start = Math.min(Math.max(from, 0), duration - width);
    view.window = width < duration ? [start, start + width] : null;
    if (view.window) params.set("t", view.window.map((ns) => `${+(ns / 1e6).toFixed(6)}ms`).join());
    else params.delete("t");
    this.waterfall.zoom(start, start + width);
    clearTimeout(this.writing); // the address waits until the pointer rests
    this.writing = setTimeout(() => this.go({}), 200);
  }

  #zoomBy(factor, at = (this.waterfall.from + this.waterfall.to) / 2) {
    const { from, to } = this.waterfall;
    this.#zoom(at - (at - from) * factor, at + (to - at) * factor);
  }

  #pan(share) {
    const { from, to } = this.waterfall, by = (to - from) * share;
    this.#zoom(from + by, to + by);
  }

  // Names and services are searched at once; all else by whoever has it, when the typing pauses.
  #seek(text) {
    this.sought = text;
    this.ids = this.problem.textContent = "";
    this.rows.match(this.#words(), "");
    this.match = this.waterfall.match = -1;
    this.#say("");
    this.asking?.abort();
    if (text) this.#ask(text, 150);
  }

  #words() { return this.sought.startsWith("{") ? "" : this.sought; }

  async #ask(text, pause = 0) {
    const { signal } = this.asking = new AbortController();
    await new Promise((resolve) => setTimeout(resolve, pause));
    const answer = signal.aborted ? null : await this.source.find(text, signal).catch(() => null);
    if (signal.aborted || !answer) return;
    this.problem.textContent = answer.problem ?? "";
    this.ids = answer.ids ?? "";
    this.rows.match(this.#words(), this.ids);
    await this.#apply(this.params, { x: [...this.view.toggled] });
  }

  #count() {
    const { found } = this.rows, place = found.indexOf(this.match) + 1;
    this.#say(place ? `${integer(place)} of ${integer(found.length)}` : `${integer(found.length)} found`);
  }

  #say(text) { if (this.found.textContent !== text) this.found.textContent = text; }

  // The next of some rows after the one that was visited last, round and round.
  async #walk(some, last, step) {
    const place = some.indexOf(last), { length } = some;
    const row = some[place < 0 ? (step > 0 ? 0 : length - 1) : (place + step + length) % length];
    if (length) await this.#reveal(row, document.activeElement !== this.box);
    return row;
  }

  async #nextMatch(step) {
    this.match = this.waterfall.match = await this.#walk(this.rows.found, this.match, step);
    this.waterfall.redraw();
    if (this.view.find) this.#count();
  }

  async #nextError(step) {
    const errors = this.rows.errorRows();
    this.error = await this.#walk(errors, this.error, step);
    this.#say(errors.length ? `error ${errors.indexOf(this.error) + 1} of ${errors.length}` : "no errors");
  }

  #open(row) {
    const { rows } = this;
    if (rows.is(row, RUN | MISSING)) return this.#toggle([row]);
    this.waterfall.cursor = row;
    if (!rows.is(row, CUT)) return this.go({ span: rows.id(row) }, rows.id(row) !== this.view.span);
    return this.go({ root: this.#ownerOf(row), x: null, depth: null }, true);
  }

  async #copy(text, what) {
    await navigator.clipboard.writeText(text).then(() => this.#say(`${what} copied`), () => this.#say("copying is not allowed here"));
  }

  // Out of one layer: what was sought, the span, the zoom, the subtree.
  #back() {
    const { view } = this;
    if (view.find) return this.go({ find: null, only: null });
    if (view.span) return this.go({ span: null }, true);
    return view.window ? this.#zoom(0, this.rows.duration) : view.root && this.go({ root: null }, true);
  }

  // What keys and buttons do, where it can be done. A row is the cursor's, or that of the open span.
  do(name) {
    const { rows, waterfall, view, params } = this, { shown, place, folded } = rows, { length } = shown;
    const cursor = rows.isShown(waterfall.cursor) ? waterfall.cursor : rows.find(view.span), hasRow = rows.isShown(cursor);
    const isParent = hasRow && rows.size[cursor] > 1, isOpen = isParent && !folded[cursor], isSpan = hasRow && !rows.is(cursor, NO_SPAN);
    const at = hasRow ? place[cursor] : -1, page = Math.floor(waterfall.scroller.clientHeight / waterfall.height) - 1;
    const to = (next) => length && waterfall.focus(shown[Math.min(Math.max(next, 0), length - 1)]);
    const levels = rows.levels - rows.top - 1, depth = Math.min(view.depth || levels + 1, levels + 1);
    const actions = {
      down: () => to(at + 1), up: () => to(at - 1), first: () => to(0), last: () => to(length),
      "page-down": () => to(at + page), "page-up": () => to(at - page),
      in: () => (isOpen ? to(at + 1) : isParent && this.#toggle([cursor])),
      out: () => (isOpen ? this.#toggle([cursor]) : actions.parent()),
      toggle: () => isParent && this.#toggle([cursor]),
      parent: () => hasRow && rows.parent[cursor] >= rows.first && waterfall.focus(rows.parent[cursor]),
      open: () => hasRow && this.#open(cursor),
      close: () => this.go({ span: null }, true),
      "fold-all": () => this.#level(1),
      "unfold-all": () => this.#fold(rows.withFlag(rows.usual).map((row) => rows.short(rows.key(row))), { depth: null }),
      "fold-one": () => this.#level(Math.max(depth - 1, 1)),
      "unfold-one": () => this.#level(depth < levels ? depth + 1 : 0),
      find: () => this.box.select(),
      next: () => this.#nextMatch(1), previous: () => this.#nextMatch(-1),
      error: () => this.#nextError(1), "error-before": () => this.#nextError(-1),
      critical: () => this.go({ show: [...new Set(view.show).symmetricDifference(new Set(["critical"]))] }),
      root: () => isSpan && this.go({ root: rows.id(cursor), t: null }, true),
      unroot: () => this.go({ root: null, t: null }, true),
      zoom: () => hasRow && rows.length[cursor] && this.#zoom(rows.begin[cursor], rows.end(cursor)),
      "zoom-in": () => this.#zoomBy(1 / 2), "zoom-out": () => this.#zoomBy(2), "zoom-reset": () => this.#zoom(0, rows.duration),
      "copy-link": () => this.source.address.write(params, false) ?? this.#copy(document.URL, "link"),
      "copy-id": () => (isSpan ? this.#copy(rows.id(cursor), "span id") : this.#copy(rows.doc.trace, "trace id")),
      view: () => (document.querySelector(".views [aria-current] + a") ?? document.querySelector(".views a"))?.click(),
      keys: () => document.getElementById("keys")?.showModal(),
      back: () => this.#back(),
    };
    return actions[name]?.();
  }

  #listen() {
    const { waterfall, tools, divider } = this, { signal } = this.#leaving;
    const on = (target, type, listener, options) => target.addEventListener(type, listener, { signal, ...options });
    on(document, "keydown", (event) => this.#key(event), { capture: true }); // before the page's own "/"
    on(document, "click", (event) => this.#click(event));
    on(tools, "submit", (event) => event.preventDefault());
    on(tools, "input", () => {
      const fields = new FormData(tools);
      this.go(Object.fromEntries(FIELDS.map((name) => [name, fields.getAll(name).filter(Boolean)])));
    });
    on(waterfall.scroller, "scroll", () => { // browsers refuse to write the history with every frame
      clearTimeout(this.scrolled);
      this.scrolled = setTimeout(() => this.#keepScroll(), 200);
    }, { passive: true });
    on(waterfall.waterfall, "focusin", ({ target }) => { waterfall.cursor = waterfall.rowOf(target); });
    on(waterfall.waterfall, "dblclick", ({ target }) => target.closest(".time") && this.do("zoom"));
    on(this.element, "wheel", (event) => this.#wheel(event), { passive: false });
    for (const area of [waterfall.map, waterfall.ruler]) on(area, "pointerdown", (event) => this.#drag(event, area));
    on(divider, "pointerdown", (event) => follow(event, divider, ({ clientX }) => {
      const { left, width } = this.heads.getBoundingClientRect();
      this.#widen((clientX - left) / width * 100);
    }, () => this.#keepWidth()));
    on(divider, "keydown", ({ key }) => {
      this.#widen(Number(divider.ariaValueNow) + ({ ArrowLeft: -2, ArrowRight: 2 }[key] ?? 0));
      this.#keepWidth();
    });
  }

  #widen(percent) {
    if (!percent) return;
    const who = this.divider.ariaValueNow = Math.round(Math.min(Math.max(percent, 15), 80));
    this.waterfall.sheet.style.setProperty("--who", `${who}%`);
    this.waterfall.measure();
  }

  #keepWidth() { this.source.address.write(this.params, false, { who: Number(this.divider.ariaValueNow) }); }

  #key(event) {
    const { key, target, shiftKey } = event, pan = shiftKey && { ArrowLeft: -0.2, ArrowRight: 0.2 }[key];
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target === this.box) return this.#boxKey(event);
    if (target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable], [role=separator]")) return;
    const name = KEYS[key] ?? (!shiftKey && target.closest?.(".waterfall") && ROW_KEYS[key]), isLevel = /^[1-9]$/.test(key);
    if (!name && !isLevel && !pan) return;
    event.preventDefault();
    if (name) this.do(name); else if (pan) this.#pan(pan); else this.#level(key);
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
    const { target } = event, button = target.closest?.("[data-do]"), link = target.closest?.("a[href]"), row = this.waterfall.rowOf(target);
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
    const params = link && this.source.address.of?.(link), span = link?.dataset.span ?? link?.dataset.go;
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
    if (event.ctrlKey) this.#zoomBy(1.002 ** deltaY, this.waterfall.timeAt(clientX, target.closest(".map") ?? undefined));
    else if (this.view.window && Math.abs(across) > (shiftKey ? 0 : Math.abs(deltaY))) this.#pan(across / 1000);
    else return;
    event.preventDefault();
  }

  // Draws out a window on the map or the ruler, or moves one of its edges; a click beside it ends it.
  #drag(event, area) {
    const { waterfall } = this, { from, to } = waterfall, edge = event.target.closest(".edge"), isMap = area === waterfall.map;
    const start = waterfall.timeAt(event.clientX, area), fixed = !edge ? start : edge.nextSibling ? to : from;
    let window = null;
    follow(event, area, ({ clientX }) => {
      if (!window && Math.abs(clientX - event.clientX) < 4) return;
      window = [fixed, waterfall.timeAt(clientX, area)].sort((a, b) => a - b);
      if (isMap) this.#zoom(...window); // the ruler would move under the pointer
    }, () => {
      if (window) this.#zoom(...window);
      else if (isMap && (start < from || start > to)) this.do("zoom-reset");
    });
  }
}

// Calls `move` until the pointer is let go of, then `end`.
function follow(event, element, move, end) {
  if (event.button) return;
  event.preventDefault();
  const following = new AbortController(), { signal } = following;
  element.setPointerCapture(event.pointerId);
  element.addEventListener("pointermove", move, { signal });
  for (const type of ["pointerup", "pointercancel"]) {
    element.addEventListener(type, () => { following.abort(); end(); }, { signal });
  }
}
