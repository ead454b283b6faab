// Charts and facets without a new page: links that narrow the search, and a drag or the arrow keys on a plot, which
// select a range of time, and of duration where the plot has one. What is selected becomes an address.

import { on } from "./page.js";

const LEAST = 5; // pixels: less is a click
const STEP = 0.05; // of a plot, for each press of a key
const clamp = (number, low, high) => Math.min(Math.max(number, low), high);

// Goes to an address of this page; what was unfolded stays so, and the focus where it was.
async function go(url) {
  const opened = [...document.querySelectorAll("details[open][id]")].map(({ id }) => id);
  const focused = document.activeElement?.closest("[data-keep]")?.dataset.keep;
  document.getElementById("busy")?.classList.add("htmx-request");
  await htmx.ajax("GET", url, { target: "#main", select: "#main > *", swap: "innerHTML", push: "true" });
  document.getElementById("busy")?.classList.remove("htmx-request"); // it is another one, unless no answer came
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  const again = [...document.querySelectorAll("[data-keep]")].find(({ dataset }) => dataset.keep === focused);
  again?.focus({ preventScroll: true });
}

on("click", "a.narrow", (link, event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});

// As TraceQL and people write it, in three digits: outward, so that nothing at the edge is lost.
function duration(ns, round) {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(ns, 1))) - 2);
  const whole = Math.max(0, round(ns / unit)) * unit;
  const [size, name] = [[1e9, "s"], [1e6, "ms"], [1e3, "us"]].find(([size]) => whole >= size) ?? [1, "ns"];
  return +(whole / size).toFixed(3) + name;
}

// A time of day, with milliseconds where seconds say too little.
function clock(ms, isFine) {
  const second = new Date(ms).toLocaleTimeString("en-GB");
  return isFine ? `${second}.${String(ms % 1000).padStart(3, "0")}` : second;
}

class Brush extends HTMLElement {
  connectedCallback() {
    this.mark = this.querySelector(".selection");
    this.says = this.parentElement.querySelector("output");
    this.addEventListener("pointerdown", (event) => this.#press(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("dragstart", (event) => event.preventDefault());
  }

  // A selection is in parts of the plot, from the left and from below.
  #show(plot, selection) {
    this.plot = plot;
    this.selection = selection;
    this.mark.toggleAttribute("hidden", !selection);
    this.says.hidden = !selection;
    if (!selection) return;
    const { left, right, low, high } = selection;
    const all = this.getBoundingClientRect(), box = plot.firstElementChild.getBoundingClientRect();
    const place = {
      x: box.left - all.left + left * box.width, width: (right - left) * box.width,
      y: box.top - all.top + (1 - high) * box.height, height: (high - low) * box.height,
    };
    for (const name in place) this.mark.firstElementChild.setAttribute(name, place[name]);
    this.says.value = this.#words();
  }

  #times() {
    const start = +this.dataset.start, length = this.dataset.end - start, { left, right } = this.selection;
    return [Math.floor(start + left * length), Math.ceil(start + right * length)];
  }

  // The limits that the selection sets to the duration, as conditions.
  #limits() {
    const { before, low, high } = this.dataset, { selection } = this;
    if (before === undefined || !this.plot.matches(".upper")) return [];
    const at = (part) => 10 ** (+low + part * (high - low));
    return [
      ...(selection.low > 0 ? [`traceDuration >= ${duration(at(selection.low), Math.floor)}`] : []),
      ...(selection.high < 1 ? [`traceDuration <= ${duration(at(selection.high), Math.ceil)}`] : []),
    ];
  }

  #words() {
    const [from, to] = this.#times(), isFine = to - from < 1e4;
    const limits = this.#limits().map((limit) => limit.replace("traceDuration ", "").replace("us", "µs"));
    return [`${clock(from, isFine)} – ${clock(to, isFine)}`, ...limits].join(", ");
  }

  #apply() {
    const url = new URL(this.dataset.url, location), limits = this.#limits(), { left, right } = this.selection;
    if (limits.length) url.searchParams.set("q", this.dataset.before + limits.join(" && ") + this.dataset.behind);
    if (left > 0 || right < 1) {
      const [from, to] = this.#times();
      url.searchParams.set("from", new Date(from).toISOString());
      url.searchParams.set("to", new Date(to).toISOString());
    }
    go(url.pathname + url.search);
  }

  #press(event) {
    const plot = event.target.closest(".plot");
    if (!plot || event.button || !event.isPrimary) return;
    const box = plot.firstElementChild.getBoundingClientRect(), { clientX: x, clientY: y, pointerId } = event;
    const over = new AbortController(), { signal } = over;
    this.#show(plot, null);
    const stop = () => { over.abort(); this.#show(plot, null); };
    const move = (event) => {
      const isWide = Math.abs(event.clientX - x) >= LEAST, isTall = Math.abs(event.clientY - y) >= 2 * LEAST;
      if (!this.selection && !isWide && !isTall) return;
      plot.setPointerCapture(pointerId); // the click that follows is the plot's, not a link's
      const [left, right] = isWide ? parts(x, event.clientX, box.left, box.width) : [0, 1];
      const [low, high] = isTall && plot.matches(".upper") ? parts(y, event.clientY, box.bottom, -box.height) : [0, 1];
      this.#show(plot, { left, right, low, high });
    };
    const leave = () => { if (this.selection) this.#apply(); over.abort(); };
    this.addEventListener("pointermove", move, { signal });
    this.addEventListener("pointerup", leave, { signal });
    this.addEventListener("pointercancel", stop, { signal });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); }, { signal });
  }

  #key(event) {
    const plot = event.target.closest(".plot.upper"), { key, shiftKey } = event;
    if (!plot) return;
    if (key === "Enter" && this.selection) this.#apply();
    else if (key === "Escape" && this.selection) this.#show(plot, null);
    else if (key === "Escape") this.parentElement.querySelector(".reset-zoom")?.click();
    else if (key.startsWith("Arrow")) this.#show(plot, moved(this.selection ?? MIDDLE, key, shiftKey));
    else return;
    event.preventDefault();
  }
}

const MIDDLE = { left: 0.35, right: 0.65, low: 0, high: 1 };

// From one place to another, in order, as parts of a length.
const parts = (one, other, origin, length) =>
  [one, other].map((place) => clamp((place - origin) / length, 0, 1)).sort((a, b) => a - b);

// Left and right move the selection, up and down its lower edge; with Shift the right and the upper edge.
function moved({ left, right, low, high }, key, isFar) {
  const step = key === "ArrowRight" || key === "ArrowUp" ? STEP : -STEP;
  const isLevel = key === "ArrowRight" || key === "ArrowLeft", by = clamp(step, -left, 1 - right);
  if (isLevel && isFar) right = clamp(right + step, left + STEP, 1);
  else if (isLevel) [left, right] = [left + by, right + by];
  else if (isFar) high = clamp(high + step, low + STEP, 1);
  else low = clamp(low + step, 0, high - STEP);
  return { left, right, low, high };
}

customElements.define("mt-brush", Brush);
