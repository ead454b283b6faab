// A trace saved as one file: the same timeline, rows and details from the file itself, its state after the "#".

import { duration, integer } from "./rows.js";
import { Timeline, query } from "./trace.js";

const LONG = 120, FOLDED = 2048; // characters of a value: more stand below its key, or are folded
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const rows = read("rows"), { spans, shared, pairs, keys } = read("spans"), slots = new Map(rows.services);
const groupsOf = (span) => span.groups.map((group) => (Array.isArray(group) ? group : shared[group]));

const address = {
  read: () => new URLSearchParams(location.hash.slice(1)),
  url: (text) => `#${text}`,
  paramsOf: ({ hash }) => hash && new URLSearchParams(hash.slice(1)),
  watchAddress: (callback, signal) => addEventListener("popstate", callback, { signal }),
};

// Control characters and bidirectional overrides spelt out, as `present.printable` does: they can make a name read as
// another one.
const printable = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (sign) => {
  const code = sign.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code}` : `\\x${code.padStart(2, "0")}`;
});

// All that can be found of a span, in lower case.
let texts;
const text = ([key, value]) => `${keys[key]}=${value}`;
const textOf = (span) => [
  span.id, span.name, span.service, span.kind, span.message,
  ...groupsOf(span).flatMap(([, entries]) => entries).flatMap(({ title, note, pairs: own = [] }) => [title, note, ...own.map((number) => text(pairs[number]))]),
].join("\n").toLowerCase();

async function find(asked) {
  if (/^[\s(]*\{/.test(asked)) return { problem: "TraceQL needs minitrace; this file finds text" };
  texts ??= spans.map(textOf);
  return { ids: spans.filter((_, i) => texts[i].includes(asked.trim().toLowerCase())).map(({ id }) => id).join("") };
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className ?? "";
  element.append(...children.flat().filter(Boolean));
  return element;
}

function link(span, ...children) {
  const params = address.read(), element = make("a", "", ...children);
  params.set("span", span);
  element.href = `#${query(params)}`;
  return element;
}

function whole(value) {
  const pre = make("pre", "", value), start = `${value.slice(0, 200)}… `;
  return value.length <= FOLDED ? pre
    : make("details", "", make("summary", "", start, make("small", "", `show all ${integer(value.length)} characters`)), pre);
}

function pair([key, value, type]) {
  const isTall = value.includes("\n") || value.length > LONG, below = isTall && make("td", "", whole(value));
  const name = printable(keys[key]).split(/(?<=\.)/).flatMap((part) => [part, make("wbr")]);
  if (below) below.colSpan = 2;
  const beside = make("td", "", !isTall && make("span", "value", value), type && [" ", make("small", "", type)]);
  return make("tbody", "", make("tr", "", make("th", "", name), beside), below && make("tr", "", below));
}

function entry({ title, remark, to, pairs: own = [], note }) {
  const name = title && make("span", "name", printable(title));
  return make("div", `${title ? "event" : ""}${title === "exception" ? " fault-edge" : ""}`,
    title && make("h4", "", to ? link(to, name) : name, " ", make("small", "", remark)),
    own.length > 0 && make("table", "attributes", own.map((number) => pair(pairs[number]))),
    note && make("p", "none", printable(note)));
}

function section(span) {
  const { id, parent, name, service, kind, error, message, start, length } = span;
  const slot = slots.get(service) ?? 0, close = make("a", "close", "✕");
  close.href = "#";
  close.dataset.do = "close";
  close.ariaLabel = close.title = "Close (Esc)";
  const facts = {
    Duration: make("b", "", duration(length)), Start: start === null ? "no time" : (start < 0 ? "−" : "+") + duration(Math.abs(start)),
    "Span id": make("code", "", id), Parent: !parent ? "none, a root" : spans.some((one) => one.id === parent) ? link(parent, parent) : `${parent}, not received`,
  };
  return make("section", "span-detail",
    make("header", "", make("h2", "name", printable(name ?? "(no name)")), close,
      make("p", "chips", make("span", `service svc-${slot % 10}${slot > 9 ? " striped" : ""}`, make("i"), printable(service)),
        make("span", "chip", kind), error && make("span", "fault", "⨯ error"))),
    message && make("p", error ? "message fault" : "message", printable(message)),
    make("dl", "facts", Object.entries(facts).map(([label, fact]) => make("div", "", make("dt", "", label), make("dd", "", fact)))),
    groupsOf(span).map(([title, entries]) => make("div", "group", make("h3", "", title), entries.map(entry))));
}

async function detail(id) {
  const panel = document.getElementById("detail");
  panel.replaceChildren(...spans.filter((span) => span.id === id).map(section));
  panel.scrollTop = 0;
}

document.getElementById("still").remove();
document.getElementById("live").hidden = false;
for (const field of document.querySelectorAll("[name=runs], [name=skew]")) field.closest("label").remove(); // they need other rows
new Timeline(document.querySelector("mt-trace"), { ...address, rows: async () => rows, find, detail });
