// Draws rows: a list in which only those in sight exist, their bars, the map of the whole trace and the ticks beside the
// list. Knows no address and no keys; `trace.js` says what to show.

import { CRITICAL, CUT, ERROR, MISSING, NO_SPAN, OUTLIVES, RUN, TIMELESS, clamp, duration } from "./rows.js";

const OVERSCAN = 10; // rows drawn above and below what is seen
const MAX_INDENT = 24;
const EDGE = 9; // pixels beside the window that are drawn
const CELLS = 2; // a pixel: how exactly stretches are merged

// What an element has inside, by class.
export const parts = (element, ...names) => Object.fromEntries(names.map((name) => [name, element.querySelector(`.${name}`)]));

const box = (left, right, top, bottom) => `M${left.toFixed(1)} ${top}H${right.toFixed(1)}V${bottom}H${left.toFixed(1)}z`;

export class Waterfall {
  lines = new Map(); // what is drawn, by row
  spare = []; // lines without a row
  cursor = -1;
  match = -1;
  from = 0;
  to = 1;

  constructor(element, signal) {
    Object.assign(this, { element }, parts(element, "sheet", "scroller", "waterfall", "map", "window", "ruler", "gutter"));
    this.canvas = this.map.querySelector("canvas");
    this.template = element.querySelector("template").content;
    this.scroller.addEventListener("scroll", () => this.later(), { passive: true, signal });
    this.scroller.addEventListener("scrollend", () => this.draw(), { signal });
    const repaint = () => { this.colours = null; this.paint(); };
    document.addEventListener("theme", repaint, { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint, { signal });
    const resized = new ResizeObserver(() => this.measure());
    for (const each of [this.scroller, this.ruler]) resized.observe(each);
    signal.addEventListener("abort", () => resized.disconnect());
  }

  // Draws once before the next frame, however often it is asked for.
  later() { this.frame ??= requestAnimationFrame(() => this.draw(false)); }

  get hasFocus() { return this.waterfall.contains(document.activeElement); }

  show(rows, view, href) {
    const { hasFocus } = this;
    if (!this.rows) this.waterfall.replaceChildren(); // those of the server
    Object.assign(this, { rows, view, href, whole: rows.duration || 1 });
    this.waterfall.ariaRowCount = rows.shown.length;
    this.element.classList.add("drawn");
    this.zoom(...(view.window ?? [0, this.whole]));
    if (this.height) this.#fit(); else this.measure();
    if (hasFocus) this.#focus();
  }

  #focus() { this.lines.get(this.cursor)?.row.focus({ preventScroll: true }); }

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
    const row = isSeen ? cursor : rows.shown[Math.floor(scrollTop / height)] ?? rows.shown.at(-1);
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
    else scroller.scrollTop = clamp(scrollTop, top + height * 3 - clientHeight, top - height * 2);
    this.redraw();
    if (isFocused) this.#focus();
  }

  rowOf(node) { return node.closest(".row")?.index ?? -1; }

  timeAt(clientX, area = this.ruler) {
    const { left, width } = area.getBoundingClientRect(), share = clamp((clientX - left) / width, 0, 1);
    return area === this.map ? share * this.whole : this.from + share * (this.to - this.from);
  }

  // Rows are put in order in the document, too, for those who read it so, but not while it scrolls: that costs layout.
  draw(isOrdered = true) {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { rows, lines, height, cursor } = this, { scrollTop, clientHeight } = this.scroller, { shown, place } = rows;
    const first = Math.max(Math.floor(scrollTop / height) - OVERSCAN, 0);
    const wanted = new Set(shown.slice(first, Math.ceil((scrollTop + clientHeight) / height) + OVERSCAN));
    if (rows.isShown(cursor)) wanted.add(cursor);
    for (const [row, line] of lines) {
      if (wanted.has(row)) continue;
      line.row.hidden = true;
      line.stamp = null;
      this.spare.push(line);
      lines.delete(row);
    }
    for (const row of wanted) this.#place(row, place[row]);
    if (isOrdered) this.#order();
    this.width ||= this.waterfall.querySelector(".row:not([hidden]) .time")?.clientWidth ?? 0;
    for (const [row, line] of lines) {
      if (line.axis !== this.axis) this.#bars(line, row);
      line.axis = this.axis;
    }
    this.drawn?.(); // lane.js follows
  }

  #place(row, at) {
    const line = this.lines.get(row) ?? this.spare.pop() ?? this.#makeLine(), top = at * this.height;
    this.lines.set(row, line);
    if (line.top !== top) line.row.style.transform = `translateY(${line.top = top}px)`;
    if (line.stamp !== this.stamp) this.#text(line, row, at);
  }

  // The elements of a row. They are made once, and used again for other rows.
  #makeLine() {
    const row = this.template.firstElementChild.cloneNode(true), paths = row.querySelectorAll("path");
    const names = ["who", "deeper", "fold", "open", "of", "name", "fault", "extra", "kind", "number", "time"];
    this.waterfall.append(row);
    return { row, paths, svg: row.querySelector("svg"), ...parts(row, ...names) };
  }

  // A row that moved would lose the focus: the others move around it.
  #order() {
    let next = null;
    for (const { row } of [...this.lines.values()].sort((a, b) => b.top - a.top)) {
      if (row.nextSibling !== next && row !== document.activeElement) this.waterfall.insertBefore(row, next);
      next = row;
    }
  }

  #text(line, row, at) {
    const { rows, view } = this, { row: element } = line, is = (flag) => rows.is(row, flag);
    const slot = rows.slot(row), isFolded = rows.folded[row] === 1, isParent = rows.size[row] > 1, isSpan = !is(NO_SPAN);
    const below = isFolded ? rows.errorsBelow(row) : 0, level = rows.depth[row] - rows.top;
    const { ticks = [], ...extra } = rows.extra(row), id = rows.id(row);
    const classes = {
      striped: slot > 9, error: is(ERROR), below, run: is(RUN), missing: is(MISSING), cut: is(CUT), critical: is(CRITICAL),
      context: rows.kept?.[row] === 1, match: rows.matches[row], "current-match": row === this.match,
    };
    element.className = ["row", `svc-${slot % 10}`, ...Object.keys(classes).filter((name) => classes[name])].join(" ");
    element.dataset.span = id;
    Object.assign(element, {
      index: row, hidden: false, ariaLabel: rows.sentence(row), ariaRowIndex: at + 1, ariaLevel: level + 1,
      ariaPosInSet: rows.position[row], ariaSetSize: rows.siblings(row), ariaExpanded: isParent ? !isFolded : null,
      ariaSelected: isSpan && id === view.span,
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
    line.extra.replaceChildren(...marks(extra));
    line.time.title = ticks.slice(0, 9).map(([ns, name]) => `${name} ${duration(ns)}`).join("\n");
    line.stamp = this.stamp;
    line.axis = null;
  }

  // What a row shows of the time, in pixels of the window. What lies outside is cut off a little way out.
  #bars(line, row) {
    const { rows, from, to, width } = this, scale = width / (to - from), is = (flag) => rows.is(row, flag);
    const x = (ns) => clamp((ns - from) * scale, -EDGE, width + EDGE), { ticks = [], gaps = [] } = rows.extra(row);
    const begin = rows.begin[row], end = rows.end(row), left = x(begin), right = Math.max(x(end), left + 1), shapes = {};
    if (!is(TIMELESS | CUT) && end >= from && begin <= to) {
      shapes.span = begin === end ? `M${left} 8l4 4-4 4-4-4z` : box(left, right, 7, 17);
      if (is(RUN | MISSING)) shapes.members = this.#solid(row, x, true);
      else shapes.own = rows.size[row] === 1 ? shapes.span : this.#solid(row, x, false);
      const parentEnd = is(OUTLIVES) ? Math.max(x(rows.end(rows.parentSpan(row))), left) : right;
      if (right - parentEnd > 2) shapes.over = `M${parentEnd.toFixed(1)} 12H${right.toFixed(1)}`;
      shapes.critical = this.#critical(row, x);
    }
    for (const [ns, , isFault] of ticks) {
      const name = isFault ? "tick fault" : "tick";
      if (ns >= from && ns <= to) shapes[name] = `${shapes[name] ?? ""}M${x(ns) - 3.5} 3h7l-3.5 5z`;
    }
    for (const path of line.paths) {
      const shape = shapes[path.className.baseVal] ?? "";
      if (path.getAttribute("d") !== shape) path.setAttribute("d", shape);
    }
    for (const label of line.svg.querySelectorAll("text")) label.remove();
    if (this.view.hasGaps) for (const [begin, end] of gaps) this.#gap(line.svg, x(begin), x(end), duration(end - begin));
  }

  #gap(svg, begin, end, text) {
    const left = Math.max(begin, 0), right = Math.min(end, this.width);
    if (right - left < 90) return; // pixels: the label would stand on what is beside the gap
    const label = svg.appendChild(this.template.querySelector(".gap").cloneNode());
    label.setAttribute("x", (left + right) / 2);
    label.textContent = `${text} untraced`;
  }

  // A span where no child is running, or the members of a group.
  #solid(row, x, isGroup) {
    const { rows } = this;
    return this.#pieces(7, 17, (paint) => {
      if (!isGroup) paint(x(rows.begin[row]), x(rows.end(row)));
      rows.eachChild(row, (child) => {
        const left = x(rows.begin[child]), right = x(rows.end(child));
        if (isGroup) paint(left, right - left > 3 ? right - 0.5 : right); // or neighbours would be one
        else paint(left, right, 0);
      });
    });
  }

  #critical(row, x) {
    const { critical, stretches, folded, size } = this.rows, last = stretches[row + (folded[row] ? size[row] : 1)];
    return this.#pieces(18, 20, (paint) => {
      for (let i = stretches[row]; i < last; i++) paint(x(critical[3 * i + 1]), x(critical[3 * i + 2]));
    });
  }

  // A path of what `fill` paints on cells of half a pixel: 20 000 children make a few hundred pieces at most. It may also
  // wipe, and whatever it paints is at least a cell wide.
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
    const context = canvas.getContext("2d"), scale = width / whole, step = height / rows.count;
    const colours = this.colours ??= this.#colours(), thick = clamp(Math.floor(step), 1, 4);
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    const line = (row, colour) => {
      const left = Math.min(Math.floor(rows.begin[row] * scale), width - 1);
      const right = clamp(Math.ceil(rows.end(row) * scale), left + 1, width);
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
  #colours() {
    const probe = this.map.appendChild(document.createElement("i"));
    const css = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
    const pixel = (colour) => new Uint32Array(new Uint8ClampedArray([...colour.match(/\d+/g), 255]).buffer)[0];
    const marks = ["--soft", "--accent", "--error"].map(css), error = pixel(marks[2]);
    const slots = Array.from({ length: 10 }, (_, slot) => { probe.className = `svc-${slot}`; return pixel(css("--c")); });
    probe.remove();
    return { slots, marks, error };
  }
}

// What few rows have: a status, links, how far their clock was set right, what is odd about them.
function marks({ pill, links, shift, badges = [] }) {
  const texts = [
    ["pill", pill], ["badge", links && `⇢${links}`],
    ["badge", shift && `clock ${shift < 0 ? "−" : "+"}${duration(Math.abs(shift))}`],
    ...badges.map((text) => ["badge warn", text]),
  ];
  return texts.filter(([, text]) => text).map(([className, textContent]) =>
    Object.assign(document.createElement("span"), { className, textContent, title: textContent }));
}
