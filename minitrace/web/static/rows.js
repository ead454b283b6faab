// A trace's rows, without a page: the columns that the server sent, which of them are seen, and figures as text.
// `view.py` decides the same for the page without scripts; a test compares the two.

export const ERROR = 1, CRITICAL = 2, SLOW = 4, OUTLIVES = 8, RUN = 16, MISSING = 32, CUT = 64, TIMELESS = 128;
export const NO_SPAN = RUN | MISSING | CUT;
const PILLS = { errors: ERROR, critical: CRITICAL, slow: SLOW };
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const DIGITS = 16; // of a span id
const SHORT = 8; // of one in the address

export class Rows {
  constructor(doc) {
    this.doc = doc;
    this.count = doc.depth.length;
    this.duration = doc.duration;
    for (const name of ["depth", "size", "service", "name", "kind", "flags"]) this[name] = new Uint32Array(doc[name]);
    for (const name of ["begin", "length"]) this[name] = new Float64Array(doc[name]);
    this.services = doc.services.map(([name]) => printable(name));
    this.slots = doc.services.map(([, slot]) => slot);
    this.names = doc.names.map((name) => printable(name) || "(no name)");
    this.shown = new Int32Array(0); // the rows that are seen, in order; `see` fills it
    this.place = new Int32Array(this.count); // where in `shown` a row is, or the one that hides it; -1 for none
    this.folded = new Uint8Array(this.count);
    this.matches = new Uint8Array(this.count);
    this.#relate();
    this.#sortCritical(doc.critical);
  }

  // Parents, places among siblings, and errors before each row, so that those of a subtree are one subtraction.
  #relate() {
    const { count, depth, flags } = this, above = [];
    this.parent = new Int32Array(count);
    this.position = new Uint32Array(count);
    this.children = new Uint32Array(count + 1); // how many; the tops are the last one's
    this.errors = new Uint32Array(count + 1);
    this.levels = 1;
    for (let row = 0; row < count; row++) {
      const parent = this.parent[row] = depth[row] ? above[depth[row] - 1] : -1;
      above[depth[row]] = row;
      this.position[row] = ++this.children[parent < 0 ? count : parent];
      this.errors[row + 1] = this.errors[row] + ((flags[row] & (ERROR | NO_SPAN)) === ERROR ? 1 : 0);
      this.levels = Math.max(this.levels, depth[row] + 1);
    }
  }

  // The critical path's stretches by row: those of a subtree lie side by side, and are drawn on it once it is folded.
  #sortCritical(triples) {
    const ends = this.criticalEnds = new Uint32Array(this.count + 1);
    for (let i = 0; i < triples.length; i += 3) ends[triples[i] + 1]++;
    for (let row = 0; row < this.count; row++) ends[row + 1] += ends[row];
    const next = ends.slice(), critical = this.critical = new Float64Array(triples.length / 3 * 2);
    for (let i = 0; i < triples.length; i += 3) critical.set([triples[i + 1], triples[i + 2]], next[triples[i]]++ * 2);
  }

  id(row) { return this.doc.ids.substr(row * DIGITS, DIGITS); }
  key(row) { return this.is(row, RUN) ? `r${this.id(row)}` : this.id(row); }
  short(key) { return key.slice(0, SHORT + (key[0] === "r")); }
  is(row, flag) { return (this.flags[row] & flag) !== 0; }
  isShown(row) { return row >= 0 && this.shown[this.place[row]] === row; }
  end(row) { return this.begin[row] + this.length[row]; }
  more(row) { return this.doc.more[row] ?? {}; }
  slot(row) { return this.slots[this.service[row]]; }
  siblings(row) { return this.children[this.parent[row] < 0 ? this.count : this.parent[row]]; }
  errorsBelow(row) { return this.errors[row + this.size[row]] - this.errors[row + 1]; }
  withFlag(flag) { return [...this.flags.keys()].filter((row) => this.is(row, flag)); }

  // The row of a span id or of the beginning of one, "r…" for a run; -1 for none.
  find(key = "") {
    const isRun = key[0] === "r", id = isRun ? key.slice(1) : key, { ids } = this.doc;
    for (let at = id ? ids.indexOf(id) : -1; at >= 0; at = ids.indexOf(id, at + 1)) {
      if (at % DIGITS === 0 && (isRun ? this.is(at / DIGITS, RUN) : !this.is(at / DIGITS, NO_SPAN))) return at / DIGITS;
    }
    return -1;
  }

  // A run's spans count as children of its parent.
  eachChild(row, visit) {
    for (let child = row + 1, end = row + this.size[row]; child < end; child += this.size[child]) {
      if (this.is(child, RUN)) this.eachChild(child, visit); else visit(child);
    }
  }

  parentSpan(row) {
    const parent = this.parent[row];
    return parent >= 0 && this.is(parent, RUN) ? this.parent[parent] : parent;
  }

  // Fills `shown`, `place` and `folded` for a view; see `readView`.
  see(view) {
    const { size, place, folded, parent } = this, root = this.find(view.root);
    this.first = Math.max(root, 0);
    this.last = root < 0 ? this.count : root + size[root];
    this.top = this.count ? this.depth[this.first] : 0;
    const isFiltered = view.only || view.min > 0 || view.show.length + view.hide.length + view.without.length > 0;
    const kept = this.kept = isFiltered ? this.#keep(view) : null, shown = new Int32Array(this.last - this.first);
    this.usual = isFiltered ? 0 : RUN; // what is folded unless it was unfolded
    this.#fold(view);
    place.fill(-1);
    let count = 0;
    for (let row = this.first; row < this.last;) {
      const isOut = kept && !kept[row], next = row + (isOut || folded[row] ? size[row] : 1);
      place.fill(isOut ? place[parent[row]] ?? -1 : count, row, next);
      if (!isOut) shown[count++] = row;
      row = next;
    }
    this.shown = shown.subarray(0, count);
  }

  #fold({ depth, toggled }) {
    for (let row = this.first; row < this.last; row++) {
      const usual = this.is(row, this.usual) || (depth > 0 && this.depth[row] - this.top >= depth - 1);
      const isToggled = toggled.size > 0 && this.size[row] > 1 && toggled.has(this.short(this.key(row)));
      this.folded[row] = this.size[row] > 1 && usual !== isToggled;
    }
  }

  // 2 for rows that pass the filters, 1 for those that only have such rows below them.
  #keep({ show, hide, without, min, only }) {
    const kept = new Uint8Array(this.count), { parent, flags, kind, service, length, matches } = this;
    const pills = show.reduce((bits, pill) => bits | PILLS[pill], 0);
    const hidden = this.doc.services.map(([name]) => hide.includes(name)), kinds = KINDS.map((name) => without.includes(name));
    for (let row = this.last - 1; row >= this.first; row--) {
      if (!(flags[row] & NO_SPAN) && (!pills || flags[row] & pills) && !hidden[service[row]] && !kinds[kind[row]]
        && length[row] >= min && (!only || matches[row])) kept[row] = 2;
      if (kept[row] && parent[row] >= 0) kept[parent[row]] ||= 1;
    }
    return kept;
  }

  // Marks what a text finds in names and services, and the spans that somebody else found, by their ids.
  match(text, ids) {
    const part = text.toLowerCase(), has = (name) => part !== "" && name.toLowerCase().includes(part);
    const names = this.names.map(has), services = this.services.map(has), known = new Set(ids.match(/.{16}/g));
    this.found = [];
    for (let row = 0; row < this.count; row++) {
      const isFound = names[this.name[row]] || services[this.service[row]] || (known.size > 0 && known.has(this.id(row)));
      this.matches[row] = isFound && !this.is(row, NO_SPAN);
      if (this.matches[row]) this.found.push(row);
    }
  }

  // Errors in the order of interest: those that began deepest first, then those that only passed them on.
  errorRows() {
    const passedOn = (row) => (this.errorsBelow(row) ? 1 : 0);
    return this.withFlag(ERROR).sort((a, b) => passedOn(a) - passedOn(b) || this.depth[b] - this.depth[a] || a - b);
  }

  label(row) {
    if (this.is(row, MISSING)) return `missing parent ${this.id(row)}`;
    if (this.is(row, CUT)) return `＋${integer(this.more(row).cut)} rows not shown`;
    return (this.is(row, RUN) ? `×${integer(this.more(row).run.count)} ` : "") + this.names[this.name[row]];
  }

  took(row) {
    if (this.is(row, RUN)) return `Σ ${duration(this.more(row).run.total)}`;
    return this.is(row, NO_SPAN) ? "" : duration(this.length[row]);
  }

  // What a row is, in one sentence: the name that assistive technology reads.
  sentence(row) {
    const share = this.length[row] / this.duration * 100, children = this.children[row], below = this.errorsBelow(row);
    return [
      this.services[this.service[row]], this.label(row), this.is(row, ERROR) && "error", this.took(row),
      share > 0 && !this.is(row, NO_SPAN) && `${share < 9.95 ? +share.toFixed(1) : Math.round(share)}% of trace`,
      `level ${this.depth[row] - this.top + 1}`, children && count(children, "child", "children"),
      this.folded[row] && below && `${count(below, "error")} below`,
    ].filter(Boolean).join(", ");
  }

  kindName(row) { return KINDS[this.kind[row]] ?? `kind ${this.kind[row]}`; }
}

// An address's parameters as a view; what cannot be read is as if it was not there.
export function readView(params) {
  const list = (name) => params.getAll(name).flatMap((text) => text.split(",")).filter(Boolean);
  const text = (name) => params.get(name) ?? "", [from, to] = text("t").split(",").map(nanoseconds);
  return {
    span: text("span"),
    find: text("find").trim(), only: text("find").trim() !== "" && text("only") === "1",
    show: list("show").filter((pill) => pill in PILLS), hide: params.getAll("hide"), without: list("without"),
    min: nanoseconds(text("min")) || 0,
    root: text("root"), window: from < to ? [from, to] : null,
    depth: /^\d{1,5}$/.test(text("depth")) ? Number(text("depth")) : 0, toggled: list("x"),
    hasGaps: text("gaps") !== "0",
  };
}

const UNITS = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

// A Go duration such as 120.5ms or 1m30s; NaN for anything else.
function nanoseconds(text) {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : NaN;
  return [...text.matchAll(/([\d.]+)(\D+)/g)].reduce((sum, [, number, unit]) => sum + number * UNITS[unit], 0);
}

const THIN = "\u2009";

// As `present.duration` writes it, with three significant digits, or more where times a step apart must differ.
export function duration(ns, step = Infinity) {
  if (ns >= 6e10) return minutes(Math.floor(ns / 1e9));
  const [size, unit] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]].find(([size]) => ns >= size * 0.9995) ?? [1, "ns"];
  const number = ns / size, decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  return +number.toFixed(size > 1 ? Math.min(Math.max(decimals, Math.ceil(Math.log10(size / step))), 9) : 0) + THIN + unit;
}

function minutes(seconds) {
  const parts = [[Math.floor(seconds / 86400), "d"], [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"], [seconds % 60, "s"]];
  return parts.filter(([number]) => number).slice(0, 2).map((part) => part.join(THIN)).join(" ");
}

export const integer = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
export const count = (number, noun, plural = `${noun}s`) => `${integer(number)} ${number === 1 ? noun : plural}`;

// Control characters and bidirectional overrides spelt out, as `present.printable` does: they can make a name read as
// another one.
export const printable = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (sign) => {
  const code = sign.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code}` : `\\x${code.padStart(2, "0")}`;
});
