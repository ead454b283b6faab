// The search page: keys through the results, times that give way, and the questions asked in this browser.

import { on } from "./page.js";

const MOST = 20;
const KEPT = "minitrace.recent";

// The next or previous result: the link of its row has the focus, and Enter opens it.
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key], { target } = event;
  if (!step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.defaultPrevented) return;
  if (target.closest?.("input, select, textarea, details[open], mt-brush") || document.querySelector(":modal")) return;
  const links = [...document.querySelectorAll(".traces .what > a")];
  const here = links.indexOf(document.activeElement?.closest("tbody, .groups tr")?.querySelector(".what > a"));
  const next = links[here < 0 ? (step > 0 ? 0 : links.length - 1) : here + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
});

// A period that is chosen takes the place of exact times; else these would go on to hold.
document.addEventListener("change", ({ target }) => {
  if (target.id !== "since") return;
  for (const field of target.form.querySelectorAll("[name=from], [name=to]")) field.value = "";
}, true);

// An answer that is on its way when somebody begins to type would write over it; the next question has all of it.
on("input", "#q", ({ form }) => htmx.trigger(form, "htmx:abort"));

// A browser's list completes the whole field: offer what was typed before the last word together with each of its words.
on("input", "input[data-completes]", (field) => {
  const before = field.value.slice(0, field.value.lastIndexOf(" ") + 1);
  if (before === (field.dataset.before ?? "")) return;
  field.dataset.before = before;
  for (const option of field.list.options) {
    option.dataset.word ??= option.value;
    option.value = before + option.dataset.word;
  }
});

// Menus close like menus.
document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.activeElement?.closest("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Questions that were submitted, the last one first. A browser may refuse to keep anything.
function recent() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT)) ?? [];
    return found.filter((one) => typeof one === "string").slice(0, MOST);
  } catch {
    return [];
  }
}

function keep(questions) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(questions.slice(0, MOST)));
  } catch { /* then there are none */ }
  list();
}

function list() {
  const menu = document.getElementById("recent");
  if (!menu) return;
  const questions = recent();
  menu.hidden = questions.length === 0;
  menu.querySelector("ul").replaceChildren(...questions.map((question) => {
    const item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("code");
    text.textContent = question;
    link.href = `${menu.dataset.search}?${new URLSearchParams({ q: question })}`;
    link.append(text);
    item.append(link);
    return item;
  }));
}

on("submit", "#search", (form) => {
  const question = form.elements.q.value.trim();
  if (question) keep([question, ...recent().filter((one) => one !== question)]);
});
on("click", "#recent button", () => keep([]));
addEventListener("storage", list);
document.addEventListener("htmx:after:history:restore", list);
list();
