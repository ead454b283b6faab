// A trace's rows, without a page: the columns that the server sent, which of them are seen, and figures as text.
// `view.py` decides the same for the page without scripts; a test compares the two.

export const ERROR = 1, CRITICAL = 2, SLOW = 4, OUTLIVES = 8, RUN = 16, MISSING = 32, CUT = 64, TIMELESS = 128;
export const NO_SPAN = RUN | MISSING | CUT;
const PILLS = { errors: ERROR, critical: CRITICAL, slow: SLOW };
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const DIGITS = 16; // of a span id
const SHORT = 8; // of one in the address

export const clamp = (value, least, most) => Math.max(Math.min(value, most), least);

export class Rows {
  shown = []; // the rows that are seen, in order; `see` fills it
  found = [];

  constructor(doc) {
    Object.assign(this, doc, { doc, count: doc.depth.length, services: doc.services.map(([, , name]) => name) });
    // Of each row: its place in `shown`, or that of the row that hides it, or -1; whether it is folded, and matches; its
    // parent, or -1; its position among its siblings; how many children it has, the tops being those of the last; errors
    // and stretches of the critical path before it, so that those of a subtree are one subtraction.
    const columns = ["place", "folded", "matches", "parent", "position", "children", "errors", "stretches"];
    for (const name of columns) this[name] = new Int32Array(this.count + 1);
    this.#relate();
  }

  #relate() {
    const { count, depth, begin } = this, critical = this.critical = new Float64Array(this.critical), above = [];
    for (let i = 0, row = 0; i < critical.length; i += 3) { // it comes as small numbers
      row = critical[i] += row;
      critical[i + 1] += begin[row];
      critical[i + 2] += critical[i + 1];
    }
    for (let row = 0, stretch = 0; row < count; row++) {
      const parent = this.parent[row] = depth[row] ? above[depth[row] - 1] : -1;
      above[depth[row]] = row;
      this.position[row] = ++this.children[parent < 0 ? count : parent];
      this.errors[row + 1] = this.errors[row] + this.is(row, ERROR);
      while (critical[3 * stretch] === row) stretch++;
      this.stretches[row + 1] = stretch;
    }
    this.levels = above.length;
  }

  id(row) { return this.ids.substr(row * DIGITS, DIGITS); }
  key(row) { return this.is(row, RUN) ? `r${this.id(row)}` : this.id(row); }
  short(row) { return this.key(row).slice(0, SHORT + this.is(row, RUN)); }
  is(row, flag) { return (this.flags[row] & flag) !== 0; }
  isShown(row) { return row >= 0 && this.shown[this.place[row]] === row; }
  end(row) { return this.begin[row] + this.length[row]; }
  extra(row) { return this.more[row] ?? {}; }
  slot(row) { return this.doc.services[this.service[row]][1]; }
  siblings(row) { return this.children.at(this.parent[row]); }
  errorsBelow(row) { return this.errors[row + this.size[row]] - this.errors[row + 1]; }
  withFlag(flag) { return [...this.flags.keys()].filter((row) => this.is(row, flag)); }

  // The row of a span id or of the beginning of one, "r…" for a run; -1 for none.
  find(key = "") {
    const isRun = key[0] === "r", id = key.replace("r", "");
    for (let at = this.ids.indexOf(id); id && at >= 0; at = this.ids.indexOf(id, at + 1)) {
      const row = at / DIGITS;
      if (Number.isInteger(row) && this.is(row, isRun ? RUN : NO_SPAN) === isRun) return row;
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
    return this.is(parent, RUN) ? this.parent[parent] : parent;
  }

  // Fills `shown`, `place` and `folded` for a view; see `readView`.
  see(view) {
    const { size, place, folded, parent } = this, root = this.find(view.root);
    this.first = Math.max(root, 0);
    this.last = root < 0 ? this.count : root + size[root];
    this.top = this.depth[this.first] ?? 0;
    const isFiltered = view.only || view.min > 0 || [...view.show, ...view.hide, ...view.without].length > 0;
    const kept = this.kept = isFiltered ? this.#keep(view) : null;
    this.usual = isFiltered ? 0 : RUN; // what is folded unless it was unfolded
    this.#fold(view);
    this.shown = [];
    place.fill(-1);
    for (let row = this.first; row < this.last;) {
      const isOut = kept && !kept[row], next = row + (isOut || folded[row] ? size[row] : 1);
      place.fill(isOut ? place[parent[row]] ?? -1 : this.shown.length, row, next);
      if (!isOut) this.shown.push(row);
      row = next;
    }
  }

  #fold({ depth, toggled }) {
    for (let row = this.first; row < this.last; row++) {
      if (this.size[row] < 2) continue;
      const usual = this.is(row, this.usual) || (depth > 0 && this.depth[row] - this.top >= depth - 1);
      this.folded[row] = usual !== (toggled.size > 0 && toggled.has(this.short(row)));
    }
  }

  // 2 for rows that pass the filters, 1 for those that only have such rows below them.
  #keep({ show, hide, without, min, only }) {
    const kept = new Uint8Array(this.count), { parent, kind, service, length, matches } = this;
    const pills = show.reduce((bits, pill) => bits | PILLS[pill], 0);
    const hidden = this.doc.services.map(([name]) => hide.includes(name)), kinds = KINDS.map((name) => without.includes(name));
    for (let row = this.last - 1; row >= this.first; row--) {
      if (!this.is(row, NO_SPAN) && (!pills || this.is(row, pills)) && !hidden[service[row]] && !kinds[kind[row]]
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

  // Those of some rows that the view lets through.
  within(some) { return some.filter((row) => row >= this.first && row < this.last && (!this.kept || this.kept[row])); }

  countOf(pill) { return integer(this.withFlag(PILLS[pill]).length); }

  // Errors in the order of interest: those that began deepest first, then those that only passed them on.
  errorRows() {
    const passedOn = (row) => this.errorsBelow(row) > 0;
    return this.withFlag(ERROR).sort((a, b) => passedOn(a) - passedOn(b) || this.depth[b] - this.depth[a]);
  }

  label(row) {
    const { run, cut } = this.extra(row);
    if (this.is(row, MISSING)) return `missing parent ${this.id(row)}`;
    if (cut) return `＋${integer(cut)} rows not shown`;
    return (run ? `×${integer(run.count)} ` : "") + this.names[this.name[row]];
  }

  took(row) {
    if (this.is(row, RUN)) return `Σ ${duration(this.extra(row).run.total)}`;
    return this.is(row, NO_SPAN) ? "" : duration(this.length[row]);
  }

  // What a row is, in one sentence: the name that assistive technology reads.
  sentence(row) {
    const share = this.length[row] / this.duration * 100, children = this.children[row], below = this.errorsBelow(row);
    return [
      this.services[this.service[row]], this.label(row), this.is(row, ERROR) && "error", this.extra(row).pill, this.took(row),
      share > 0 && !this.is(row, NO_SPAN) && `${+share.toFixed(share < 9.95 ? 1 : 0)}% of trace`,
      `level ${this.depth[row] - this.top + 1}`, children && count(children, "child", "children"),
      this.folded[row] && below && `${count(below, "error")} below`, ...(this.extra(row).badges ?? []),
    ].filter(Boolean).join(", ");
  }

  kindName(row) { return KINDS[this.kind[row]] ?? `kind ${this.kind[row]}`; }
}

// An address's parameters as a view; what cannot be read is as if it was not there.
export function readView(params) {
  const text = (name) => (params.get(name) ?? "").trim();
  const list = (name) => params.getAll(name).join().split(",").filter(Boolean);
  const [from, to] = text("t").split(",").map(nanoseconds);
  return {
    span: text("span"), find: text("find"), root: text("root"), hide: params.getAll("hide"), without: list("without"),
    only: text("find") !== "" && text("only") === "1", show: list("show").filter((pill) => pill in PILLS),
    min: nanoseconds(text("min")) || 0, window: from < to ? [from, to] : null,
    depth: /^\d{1,5}$/.test(text("depth")) ? Number(text("depth")) : 0, toggled: list("x"), hasGaps: text("gaps") !== "0",
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
  return +number.toFixed(size > 1 ? clamp(Math.ceil(Math.log10(size / step)), decimals, 9) : 0) + THIN + unit;
}

function minutes(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]].map(([size, unit]) => {
    const number = Math.floor(seconds / size);
    seconds %= size;
    return number && number + THIN + unit;
  });
  return parts.filter(Boolean).slice(0, 2).join(" ");
}

export const integer = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
export const count = (number, noun, plural = `${noun}s`) => `${integer(number)} ${number === 1 ? noun : plural}`;
