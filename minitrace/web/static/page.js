// What every page gains from scripts: copy buttons, the theme without a reload, "/", tidy URLs, a field that sifts
// attributes, files that are dropped, a word on errors.

document.documentElement.classList.add("js");

// Calls `act` with what an event is about. Listens on the document, because htmx replaces what is in it.
export function on(type, selector, act) {
  document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (found) act(found, event);
  });
}

let toastTimer;
function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.hidden = true; }, 6000);
}

// Copies the text of an element, or of an address of ours: as a promise, since Safari allows no copying after a wait.
on("click", "[data-copy], [data-copy-url]", async (button, event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { copy, copyUrl } = button.dataset;
  const text = copyUrl ? fetched(copyUrl) : plain(document.getElementById(copy).textContent.trim());
  try {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    button.dataset.label ??= button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  } catch {
    toast(copyUrl ? "This could not be copied" : "The browser does not allow copying here");
  }
});

const plain = (text) => new Blob([text], { type: "text/plain" });

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return plain(await answer.text());
}

// htmx tells the server.
on("submit", "form.theme", (form, { submitter: { value } }) => {
  document.documentElement.dataset.theme = value;
  document.dispatchEvent(new Event("theme"));
  for (const button of form.querySelectorAll("button")) button.ariaPressed = button.value === value;
});

// "g", then a letter, leads to another page. "g" alone may mean something to the page itself.
const CHORD_MS = 600;
let gAt = -CHORD_MS;
let typed = null; // while the menu is being fetched
const isForPage = (event) =>
  !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest?.("input, select, textarea") &&
  !document.querySelector(":modal");
document.addEventListener("keydown", (event) => {
  if (typed !== null) {
    event.preventDefault();
    event.stopPropagation();
    if (event.key.length === 1) typed += event.key;
    return;
  }
  if (!isForPage(event)) return;
  const isChord = event.timeStamp - gAt < CHORD_MS;
  gAt = event.key === "g" ? event.timeStamp : -CHORD_MS;
  const link = isChord && document.querySelector(`nav [data-go="${CSS.escape(event.key)}"]`);
  if (!link) return;
  event.preventDefault();
  event.stopPropagation();
  link.click();
}, true);

// Files may be dropped on any page.
addEventListener("dragenter", ({ dataTransfer }) => {
  if (dataTransfer.types.includes("Files")) import("./drop.js");
});

// Marks for comparing are shown where there are some.
const marks = () => import("./compare-marks.js");
addEventListener("pageshow", () => {
  try {
    if (sessionStorage.getItem("compare")) marks();
  } catch { /* storage is switched off */ }
});
on("click", "[data-mark]", async (element) => (await marks()).toggle(element));

// Modules of a page add theirs.
export const KEYS = {
  "/": () => document.querySelector("[data-shortcut='/']")?.select(),
  "?": () => document.getElementById("keys")?.showModal(),
  x: async () => (await marks()).mark(),
  v: () => document.querySelector(".views [aria-current] + a, .views:not(:has([aria-current] + a)) a")?.click(),
  ".": async () => {
    typed = "";
    const menu = await import("./menu.js").catch(() => toast("The server does not answer"));
    menu?.open(typed);
    typed = null;
  },
};
document.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.defaultPrevented || !isForPage(event)) return;
  event.preventDefault();
  KEYS[event.key]();
});

// Leaves the attributes of a span that have the field's text in their key or value.
on("input", "input.sift", (field) => {
  const text = field.value.trim().toLowerCase(), panel = field.closest(".span-detail");
  panel.classList.toggle("sifted", text !== "");
  for (const row of panel.querySelectorAll(".attributes tbody")) {
    const parts = [...row.querySelectorAll("th, .value, pre")];
    row.hidden = !parts.some((part) => part.textContent.toLowerCase().includes(text));
  }
});

// Fields left empty say nothing: keep them out of the address.
function dropEmpty(fields) {
  for (const name of new Set(fields.keys())) {
    const values = fields.getAll(name).filter((value) => value !== "");
    fields.delete(name);
    for (const value of values) fields.append(name, value);
  }
}
on("formdata", "form[method=get]", (form, { formData }) => dropEmpty(formData));
on("htmx:config:request", "[hx-get]", (element, { detail }) => dropEmpty(detail.ctx.request.body ?? new FormData()));

document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  const { status } = ctx.response;
  if (status !== 422) toast(`The server answered ${status}: ${ctx.text.slice(0, 200)}`);
});
document.addEventListener("htmx:error", ({ detail: { error } }) => {
  if (error?.name !== "AbortError") toast("The server does not answer");
});
