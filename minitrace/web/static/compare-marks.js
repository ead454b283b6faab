// Traces marked for comparing: `x`, checkboxes and buttons mark them, a tray at the bottom of every page says which.
// Kept by this tab alone, until it is closed. `page.js` loads this where there are marks, or when one is made.

const KEPT = 8; // marked lately, for the start of comparing

// {marks: [id…], names: [[id, text]…]}, the marks in the order of A and B, the names newest first.
function read() {
  try {
    return { marks: [], names: [], ...JSON.parse(sessionStorage.getItem("compare")) };
  } catch {
    return { marks: [], names: [] }; // storage is switched off, or holds what is none of ours
  }
}

function write(kept) {
  try {
    sessionStorage.setItem("compare", JSON.stringify(kept));
  } catch { /* then marks are gone with the page */ }
  show();
}

// Marks a trace, or no longer. A third one takes the place of the second: A is what others are compared with.
export function toggle({ dataset: { mark: id, markText: text } }) {
  const { marks, names } = read();
  const others = marks.filter((one) => one !== id);
  const known = [[id, text], ...names.filter(([one]) => one !== id)].slice(0, KEPT);
  write({ marks: others.length < marks.length ? others : [...others.slice(0, 1), id], names: known });
}

function make(tag, text, rest = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  return Object.assign(element, rest);
}

document.head.append(make("link", "", { rel: "stylesheet", href: new URL("compare-marks.css", import.meta.url) }));

const button = (text, act) => {
  const element = make("button", text, { type: "button" });
  element.addEventListener("click", act);
  return element;
};

// The tray, and the state of all that can be marked on this page.
function show() {
  const { marks, names } = read(), texts = new Map(names);
  for (const one of document.querySelectorAll("[data-mark]")) {
    const isMarked = marks.includes(one.dataset.mark);
    if (one.type === "checkbox") one.checked = isMarked;
    else one.ariaPressed = isMarked;
  }
  for (const tray of document.querySelectorAll("mt-marks")) tray.show?.(marks, texts);
  for (const list of document.querySelectorAll("mt-recent-marks")) list.show?.(names);
}

class Marks extends HTMLElement {
  connectedCallback() { show(); }

  show(marks, texts) {
    const { root } = this.dataset, [a, b] = marks;
    const links = marks.map((id, place) => [place ? " and " : "", make("a", texts.get(id) ?? id.slice(0, 8), { href: `${root}/trace/${id}` })]);
    const here = location.pathname.match(/\/trace\/([0-9a-f]{32})$/)?.[1];
    const other = b ?? (here !== a && here);
    const acts = other
      ? [make("a", b ? "Compare A with B" : "Compare with this trace", { href: `${root}/compare?a=${a}&b=${other}`, className: "button" })]
      : [make("a", "Compare with a typical one", { href: `${root}/compare?a=${a}&b=typical` }), make("a", "with another…", { href: `${root}/compare?a=${a}` })];
    this.hidden = !a;
    this.replaceChildren();
    if (!a) return;
    const said = make("span", `${marks.length} marked: `);
    said.append(...links.flat());
    this.append(said, ...acts, button("Clear", () => write({ ...read(), marks: [] })));
  }
}

class RecentMarks extends HTMLElement {
  connectedCallback() { show(); }

  show(names) {
    const { root } = this.dataset, list = document.createElement("ul");
    for (const [id, text] of names) {
      const item = document.createElement("li");
      item.append(make("a", text, { href: `${root}/trace/${id}` }), " · ", make("a", "compare…", { href: `${root}/compare?a=${id}` }));
      list.append(item);
    }
    this.closest("section").hidden = !names.length;
    this.replaceChildren(list);
  }
}

// What `x` marks: the result that has the focus, or is selected, or the one under the pointer; else the trace of the page.
const ROWS = ["[role=row]:focus-within", "[aria-selected=true]", "tbody:focus-within", "[role=row]:hover"];
export function mark() {
  const found = ROWS.map((rows) => document.querySelector(`:is(${rows}) [data-mark]`)).find(Boolean);
  const marked = found ?? document.querySelector(".actions [data-mark]");
  if (marked) toggle(marked);
}

document.addEventListener("htmx:after:swap", show);
addEventListener("pageshow", show); // from the browser's own cache
customElements.define("mt-marks", Marks);
customElements.define("mt-recent-marks", RecentMarks);
