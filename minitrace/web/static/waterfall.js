// Draws rows: a list in which only those in sight exist, their bars, the map of the whole trace and the ticks beside the
// list. Knows no address and no keys; `trace.js` says what to show.

import { CRITICAL, CUT, ERROR, MISSING, NO_SPAN, OUTLIVES, RUN, TIMELESS, duration } from "./rows.js";

const OVERSCAN = 10; // rows drawn above and below what is seen
const MAX_INDENT = 24;
const EDGE = 9; // pixels beside the window that are drawn
const CELLS = 2; // a pixel: how exactly stretches are merged
const SVG = "http" + "://www.w3.org/2000/svg"; // a name, not an address

function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

function shape(tag, className, into) {
  const element = into.appendChild(document.createElementNS(SVG, tag));
  element.setAttribute("class", className);
  return element;
}

// The elements of a row. They are made once, and used again for other rows.
function makeLine() {
  const line = { shapes: {}, drawn: {}, isNew: true };
  const part = (tag, name, ...children) => (line[name] = make(tag, name, ...children));
  const open = part("a", "open", make("i"), part("span", "of"), " ", part("bdi", "name"));
  const who = part("div", "who", part("span", "deeper"), part("a", "fold"), open, part("span", "fault"),
    part("span", "extra"), part("span", "kind"));
  part("div", "row", who, part("div", "number"), part("div", "time"));
  for (const cell of line.row.children) cell.role = "gridcell";
  line.row.role = "row";
  line.of.dir = "auto";
  line.fold.ariaHidden = "true";
  open.tabIndex = -1;
  line.svg = shape("svg", "", line.time);
  line.svg.ariaHidden = "true";
  return line;
}

const box = (left, right, top, bottom) => `M${left.toFixed(1)} ${top}H${right.toFixed(1)}V${bottom}H${left.toFixed(1)}z`;

export class Waterfall {
  constructor(element, signal) {
    for (const name of ["sheet", "scroller", "waterfall", "map", "ruler"]) this[name] = element.querySelector(`.${name}`);
    Object.assign(this, { element, lines: new Map(), spare: [], cursor: -1, match: -1, from: 0, to: 1, width: 0 });
    element.querySelector(".gutter")?.remove();
    this.gutter = this.sheet.appendChild(make("canvas", "gutter"));
    this.canvas = make("canvas");
    this.window = make("div", "window", make("i", "edge"), make("i", "edge"));
    this.map.replaceChildren(this.canvas, this.window);
    this.scroller.addEventListener("scroll", () => this.later(), { passive: true, signal });
    this.scroller.addEventListener("scrollend", () => this.draw(), { signal });
    const repaint = () => { this.colours = null; this.paint(); };
    const resized = new ResizeObserver(() => this.measure()), themed = new MutationObserver(repaint);
    for (const each of [this.scroller, this.ruler]) resized.observe(each);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint, { signal });
    signal.addEventListener("abort", () => { resized.disconnect(); themed.disconnect(); });
  }

  // Draws once before the next frame, however often it is asked for.
  later() { this.frame ??= requestAnimationFrame(() => this.draw(false)); }

  show(rows, view, href) {
    const hadFocus = this.waterfall.contains(document.activeElement);
    if (rows !== this.rows) {
      this.waterfall.replaceChildren();
      this.lines.clear();
      this.spare = [];
    }
    Object.assign(this, { rows, view, href, whole: rows.duration || 1 });
    this.waterfall.ariaRowCount = rows.shown.length;
    this.element.classList.add("drawn");
    this.zoom(...(view.window ?? [0, this.whole]));
    if (this.height) this.#fit(); else this.measure();
    if (hadFocus) this.lines.get(this.cursor)?.row.focus({ preventScroll: true });
  }

  #fit() {
    this.waterfall.style.height = `${this.rows.shown.length * this.height}px`;
    this.redraw();
    this.paint();
  }

  // What was drawn of the rows is out of date.
  redraw() {
    this.stamp = {};
    this.draw();
  }

  zoom(from, to) {
    const step = (to - from) / 4, { whole, window } = this;
    Object.assign(this, { from, to, axis: {} });
    this.ruler.querySelectorAll("span").forEach((label, i) => {
      const time = from + step * i;
      label.textContent = time ? duration(time, this.view.window ? step / 20 : undefined) : "0";
    });
    window.hidden = !this.view.window;
    window.style.left = `${from / whole * 100}%`;
    window.style.width = `${(to - from) / whole * 100}%`;
    this.later();
  }

  measure() {
    if (!this.rows) return;
    const above = this.scroller.getBoundingClientRect().top + scrollY;
    this.sheet.style.setProperty("--above", `${Math.round(above)}px`);
    this.height = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row"));
    this.width = 0;
    this.axis = {};
    this.#fit();
  }

  // What must not move when rows come or go: the cursor if it is seen, else the first row, and how far down it is.
  anchor() {
    const { rows, cursor, height } = this, { scrollTop, clientHeight } = this.scroller;
    if (!rows?.shown.length) return {};
    const offset = (row) => rows.place[row] * height - scrollTop;
    const isSeen = rows.isShown(cursor) && offset(cursor) > -height && offset(cursor) < clientHeight;
    const row = isSeen ? cursor : rows.shown[Math.min(Math.floor(scrollTop / height), rows.shown.length - 1)];
    return { key: rows.key(row), offset: offset(row) };
  }

  restore({ key, offset }) {
    const place = this.rows.place[this.rows.find(key)];
    if (place >= 0) this.scroller.scrollTop = place * this.height - offset;
  }

  // Moves the cursor: the one row that Tab leads to, and that stays drawn when it is scrolled away.
  focus(row, isFocused = true) {
    const { scroller, height } = this, top = this.rows.place[row] * height, { scrollTop, clientHeight } = scroller;
    this.cursor = row;
    if (Math.abs(top - scrollTop) > clientHeight * 2) scroller.scrollTop = top - clientHeight / 3;
    else scroller.scrollTop = Math.max(Math.min(scrollTop, top - height * 2), top + height * 3 - clientHeight);
    this.redraw();
    if (isFocused) this.lines.get(row)?.row.focus({ preventScroll: true });
  }

  rowOf(node) {
    const element = node.closest?.(".row");
    return [...this.lines].find(([, line]) => line.row === element)?.[0] ?? -1;
  }

  timeAt(clientX, area = this.ruler) {
    const { left, width } = area.getBoundingClientRect(), share = Math.min(Math.max((clientX - left) / width, 0), 1);
    return area === this.map ? share * this.whole : this.from + share * (this.to - this.from);
  }

  // Rows are put in order in the document, too, for those who read it so, but not while it scrolls: that costs layout.
  draw(isOrdered = true) {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { rows, lines, height, cursor } = this, { scrollTop, clientHeight } = this.scroller, { shown, place } = rows;
    const first = Math.max(Math.floor(scrollTop / height) - OVERSCAN, 0);
    const last = Math.min(Math.ceil((scrollTop + clientHeight) / height) + OVERSCAN, shown.length);
    for (const [row, line] of lines) {
      if (rows.isShown(row) && (row === cursor || (place[row] >= first && place[row] < last))) continue;
      line.row.hidden = line.isNew = true;
      this.spare.push(line);
      lines.delete(row);
    }
    for (let at = first; at < last; at++) this.#place(shown[at], at, scrollTop);
    if (rows.isShown(cursor)) this.#place(cursor, place[cursor], scrollTop);
    if (isOrdered) this.#order();
    this.width ||= this.waterfall.querySelector(".time")?.clientWidth ?? 0;
    for (const [row, line] of lines) {
      if (line.axis !== this.axis) this.#bars(line, row);
      line.axis = this.axis;
    }
  }

  #place(row, at, scrollTop) {
    let line = this.lines.get(row);
    if (!line) this.lines.set(row, line = this.spare.pop() ?? makeLine());
    const top = at * this.height;
    if (line.top !== top) line.row.style.transform = `translateY(${line.top = top}px)`;
    if (line.isNew) this.waterfall[top < scrollTop ? "prepend" : "append"](line.row);
    if (line.isNew || line.stamp !== this.stamp) this.#text(line, row, at);
  }

  // A row that moved would lose the focus: the others move around it.
  #order() {
    let before = null;
    for (const { row } of [...this.lines.values()].sort((a, b) => a.top - b.top)) {
      const isThere = before ? before.nextSibling === row : this.waterfall.firstChild === row;
      if (!isThere && row !== document.activeElement) if (before) before.after(row); else this.waterfall.prepend(row);
      before = row;
    }
  }

  #text(line, row, at) {
    const { rows, view } = this, { row: element } = line, is = (flag) => rows.is(row, flag);
    const slot = rows.slot(row), isFolded = rows.folded[row] === 1, isParent = rows.size[row] > 1, isSpan = !is(NO_SPAN);
    const below = isFolded ? rows.errorsBelow(row) : 0, level = rows.depth[row] - rows.top, more = rows.more(row);
    const classes = {
      striped: slot > 9, error: is(ERROR), below, run: is(RUN), missing: is(MISSING), cut: is(CUT), critical: is(CRITICAL),
      context: rows.kept?.[row] === 1, match: rows.matches[row], "current-match": row === this.match,
    };
    element.className = ["row", `svc-${slot % 10}`, ...Object.keys(classes).filter((name) => classes[name])].join(" ");
    element.dataset.span = rows.id(row);
    Object.assign(element, {
      hidden: false, ariaLabel: rows.sentence(row), ariaRowIndex: at + 1, ariaLevel: level + 1,
      ariaPosInSet: rows.position[row], ariaSetSize: rows.siblings(row), ariaExpanded: isParent ? !isFolded : null,
      ariaSelected: isSpan && rows.id(row) === view.span,
      tabIndex: row === this.cursor || (!rows.isShown(this.cursor) && at === 0) ? 0 : -1,
    });
    const texts = {
      deeper: level > MAX_INDENT ? `↳${level}` : "",
      fold: isParent ? (isFolded ? "▸" : "▾") : "",
      of: is(MISSING | CUT) ? "" : rows.services[rows.service[row]],
      name: rows.label(row),
      fault: is(ERROR) ? "⨯" : below ? `⨯${below}` : "",
      kind: isSpan && rows.kind[row] > 1 ? rows.kindName(row) : "",
      number: rows.took(row),
    };
    for (const [name, text] of Object.entries(texts)) if (line[name].textContent !== text) line[name].textContent = text;
    line.who.className = `who d${Math.min(level, MAX_INDENT)}`;
    line.open.title = `${texts.of} ${texts.name}`;
    line.open.href = this.href(row);
    line.extra.replaceChildren(...marks(more));
    line.time.title = (more.ticks ?? []).slice(0, 9).map(([ns, name]) => `${name} ${duration(ns)}`).join("\n");
    line.stamp = this.stamp;
    line.axis = line.isNew = null;
  }

  // What a row shows of the time, in pixels of the window. What lies outside is cut off a little way out.
  #bars(line, row) {
    const { rows, from, to, width } = this, scale = width / (to - from), more = rows.more(row), is = (flag) => rows.is(row, flag);
    const x = (ns) => Math.min(Math.max((ns - from) * scale, -EDGE), width + EDGE);
    const begin = rows.begin[row], end = rows.end(row), left = x(begin), right = Math.max(x(end), left + 1);
    const shapes = { span: "", own: "", over: "", members: "", critical: "", tick: "", "tick fault": "" };
    if (!is(TIMELESS | CUT) && end >= from && begin <= to) {
      const bar = begin === end ? `M${left} 8l4 4-4 4-4-4z` : box(left, right, 7, 17);
      const parentEnd = is(OUTLIVES) ? Math.max(x(rows.end(rows.parentSpan(row))), left) : right;
      shapes.span = bar;
      if (is(RUN | MISSING)) shapes.members = this.#members(row, x);
      else shapes.own = rows.size[row] === 1 ? bar : this.#own(row, x);
      if (right - parentEnd > 2) shapes.over = `M${parentEnd.toFixed(1)} 12H${right.toFixed(1)}`;
      shapes.critical = this.#critical(row, x);
    }
    for (const [ns, , isFault] of more.ticks ?? []) {
      if (ns >= from && ns <= to) shapes[isFault ? "tick fault" : "tick"] += `M${x(ns) - 3.5} 3h7l-3.5 5z`;
    }
    for (const [name, path] of Object.entries(shapes)) {
      if ((line.drawn[name] ?? "") !== path) (line.shapes[name] ??= shape("path", name, line.svg)).setAttribute("d", path);
      line.drawn[name] = path;
    }
    for (const label of line.svg.querySelectorAll("text")) label.remove();
    if (this.view.hasGaps) for (const [begin, end] of more.gaps ?? []) this.#gap(line, begin, end, x);
  }

  #gap(line, begin, end, x) {
    const left = Math.max(x(begin), 0), right = Math.min(x(end), this.width);
    if (right - left < 90) return; // pixels: the label would stand on what is beside the gap
    const label = shape("text", "gap", line.svg);
    label.setAttribute("x", (left + right) / 2);
    label.setAttribute("y", 16);
    label.textContent = `${duration(end - begin)} untraced`;
  }

  // Many stretches are painted on cells of half a pixel first: 20 000 children make a few hundred pieces at most.
  #own(row, x) {
    return this.#pieces(7, 17, (paint) => {
      paint(x(this.rows.begin[row]), x(this.rows.end(row)));
      this.rows.eachChild(row, (child) => paint(x(this.rows.begin[child]), x(this.rows.end(child)), 0));
    });
  }

  #members(row, x) {
    const hair = (left, right) => (right - left > 3 ? right - 0.5 : right); // or neighbours would be one
    return this.#pieces(7, 17, (paint) => this.rows.eachChild(row, (child) => {
      const left = x(this.rows.begin[child]);
      paint(left, hair(left, x(this.rows.end(child))));
    }));
  }

  #critical(row, x) {
    const { critical, criticalEnds, folded, size } = this.rows, last = criticalEnds[row + (folded[row] ? size[row] : 1)];
    return criticalEnds[row] === last ? "" : this.#pieces(18, 20, (paint) => {
      for (let i = criticalEnds[row]; i < last; i++) paint(x(critical[2 * i]), x(critical[2 * i + 1]));
    });
  }

  // A path of what `fill` paints; it may also wipe, and whatever it paints is at least a cell wide.
  #pieces(top, bottom, fill) {
    const cells = new Uint8Array((this.width + 2 * EDGE) * CELLS + 2), cell = (x) => Math.round((x + EDGE) * CELLS);
    fill((left, right, value = 1) => cells.fill(value, cell(left), Math.max(cell(right), cell(left) + value)));
    let path = "";
    for (let at = cells.indexOf(1), end; at >= 0; at = cells.indexOf(1, end)) {
      end = cells.indexOf(0, at);
      path += box(at / CELLS - EDGE, end / CELLS - EDGE, top, bottom);
    }
    return path;
  }

  // The whole trace on a few thousand pixels, errors last, matches below them; then the ticks beside the list.
  paint() {
    const { rows, canvas, map, whole } = this, width = canvas.width = map.clientWidth, height = canvas.height = map.clientHeight;
    if (!rows || !width) return;
    const context = canvas.getContext("2d", { willReadFrequently: true }), scale = width / whole, step = height / rows.count;
    const colours = this.colours ??= this.#colours(context), thick = Math.min(Math.max(Math.floor(step), 1), 4);
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    const line = (row, colour) => {
      const left = Math.min(Math.floor(rows.begin[row] * scale), width - 1);
      const right = Math.max(Math.min(Math.ceil(rows.end(row) * scale), width), left + 1);
      for (let y = Math.floor(row * step), last = y + thick; y < last; y++) pixels.fill(colour, y * width + left, y * width + right);
    };
    for (let row = 0; row < rows.count; row++) if (!rows.is(row, NO_SPAN | TIMELESS)) line(row, colours.slots[rows.slot(row) % 10]);
    for (const row of rows.withFlag(ERROR)) line(row, colours.error);
    context.putImageData(image, 0, 0);
    context.fillStyle = colours.marks[1];
    for (const row of rows.found) context.fillRect(Math.floor(rows.begin[row] * scale), height - 4, 2, 4);
    this.#ticks();
  }

  #ticks() {
    const { rows, gutter } = this, context = gutter.getContext("2d"), height = gutter.height = gutter.clientHeight;
    const scale = Math.min(height / rows.shown.length, this.height), lanes = [rows.withFlag(CRITICAL), rows.found, rows.withFlag(ERROR)];
    gutter.width = 3 * lanes.length;
    lanes.forEach((marked, lane) => {
      context.fillStyle = this.colours.marks[lane];
      const heights = new Set(marked.map((row) => (rows.place[row] < 0 ? -9 : Math.floor(rows.place[row] * scale))));
      for (const y of heights) context.fillRect(lane * 3, y, 2, 2);
    });
  }

  // The theme's colours for canvases: of services, as numbers in the order of bytes that images have here; of marks.
  #colours(context) {
    const probe = this.map.appendChild(make("i"));
    const css = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
    const pixel = (colour) => {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
      return new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0];
    };
    const marks = ["--soft", "--accent", "--error"].map(css), error = pixel(marks[2]);
    const slots = Array.from({ length: 10 }, (_, slot) => { probe.className = `svc-${slot}`; return pixel(css("--c")); });
    probe.remove();
    return { slots, marks, error };
  }
}

// What few rows have: a status, links, how far their clock was set right, what is odd about them.
function marks({ pill, links, shift, badges = [] }) {
  const found = badges.map((text) => make("span", "badge warn", text));
  if (shift) found.unshift(make("span", "badge", `⏱ ${shift < 0 ? "−" : "+"}${duration(Math.abs(shift))}`));
  if (links) found.unshift(make("span", "badge", `⇢${links}`));
  if (pill) found.unshift(make("span", "pill", pill));
  for (const each of found) each.title = each.textContent;
  return found;
}
