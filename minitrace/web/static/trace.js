// The waterfall's rows: a click anywhere on one opens its span beside it, j and k move, Escape closes. The pin.
// Without this module each row's link loads the page with the span, and pinning loads it anew.

import { isTyping } from "./page.js";

const rows = () => [...document.querySelectorAll(".waterfall tbody tr")];
const linkOf = (row) => row?.querySelector("a");
const current = () => document.querySelector(".waterfall tr[aria-current]");

function mark(spanId) {
  for (const row of document.querySelectorAll(".waterfall tr[aria-current]")) row.removeAttribute("aria-current");
  if (!spanId) return;
  const marked = document.querySelectorAll(`.waterfall tr[data-span="${CSS.escape(spanId)}"]`);
  for (const row of marked) row.setAttribute("aria-current", "true");
  marked[0]?.scrollIntoView({ block: "nearest" });
}

async function open(spanId) {
  const { pathname } = location;
  mark(spanId);
  await htmx.ajax("GET", `${pathname}/span/${spanId}`, {
    source: "#detail", target: "#detail", swap: "innerHTML", push: address({ span: spanId }),
  });
  document.getElementById("detail").scrollTop = 0;
}

function close() {
  const spanId = current()?.dataset.span;
  document.getElementById("detail").replaceChildren();
  mark(null);
  history.pushState({ htmx: true }, "", address({ span: null }));
  if (spanId) linkOf(document.querySelector(`.waterfall tr[data-span="${CSS.escape(spanId)}"]`))?.focus();
}

// The page's own address with one span or none; its page of rows stays.
function address({ span }) {
  const query = new URLSearchParams(location.search);
  query.delete("span");
  if (span) query.set("span", span);
  return location.pathname + (query.size ? `?${query}` : "");
}

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0 || !document.querySelector(".waterfall")) return;
  if (event.target.closest(".detail .close")) {
    event.preventDefault();
    close();
    return;
  }
  const parent = event.target.closest(".detail a[data-span]");
  const row = parent ? document.querySelector(`.waterfall tr[data-span="${CSS.escape(parent.dataset.span)}"]`)
    : event.target.closest(".waterfall tbody tr");
  if (!row || !getSelection().isCollapsed) return;
  event.preventDefault();
  linkOf(row).focus({ preventScroll: true });
  open(row.dataset.span);
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || !document.querySelector(".waterfall")) return;
  if (event.key === "Escape" && current()) {
    close();
    return;
  }
  const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  const within = document.activeElement?.closest(".waterfall tbody tr");
  if (!step || (event.key.startsWith("Arrow") && !within)) return;
  event.preventDefault();
  const all = rows();
  const place = all.indexOf(within ?? current());
  const next = all[Math.min(Math.max(place + step, 0), all.length - 1)];
  linkOf(next)?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.pinning");
  if (!form) return;
  event.preventDefault();
  htmx.ajax("POST", form.getAttribute("action"), { source: form, event, target: "#pin" });
});

const show = () => current()?.scrollIntoView({ block: "nearest" });
document.addEventListener("htmx:after:swap", (event) => { if (event.target === document.body) show(); });
show();
