// What every page gains from scripts: copy buttons, the theme without a reload, "/", completion of every word, tidy
// URLs, a word on errors.
// Listeners are on the document, because htmx replaces the body when the reader goes back.

document.documentElement.classList.add("js");

export const isTyping = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented ||
  event.target.closest?.("input, select, textarea, [contenteditable]") != null;

let toastTimer;
function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.hidden = true; }, 6000);
}

// Copies the text of an element, or of an address of ours: as a promise, since Safari allows no copying after a wait.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-url]");
  if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { copy, copyUrl } = button.dataset;
  const text = copyUrl ? fetched(copyUrl) : new Blob([document.getElementById(copy).textContent.trim()], { type: "text/plain" });
  try {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    button.dataset.label ??= button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
  } catch {
    toast(copyUrl ? "This could not be copied" : "The browser does not allow copying here");
  }
});

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return new Blob([await answer.text()], { type: "text/plain" });
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.theme");
  if (!form || !event.submitter) return;
  event.preventDefault();
  const theme = event.submitter.value;
  document.documentElement.dataset.theme = theme;
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  const body = new URLSearchParams({ theme, next: location.pathname });
  const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => null);
  if (!answer) toast("The server does not answer");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || isTyping(event)) return;
  const box = document.querySelector("[data-shortcut='/']");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// A browser's list completes the whole field: offer what was typed before the last word together with each of its words.
document.addEventListener("input", (event) => {
  const field = event.target.closest?.("input[data-completes]");
  if (!field) return;
  const before = field.value.slice(0, field.value.lastIndexOf(" ") + 1);
  if (before === (field.dataset.before ?? "")) return;
  field.dataset.before = before;
  for (const option of field.list.options) {
    option.dataset.word ??= option.value;
    option.value = before + option.dataset.word;
  }
});

// Fields left empty say nothing: keep them out of the address.
function dropEmpty(fields) {
  for (const [name, value] of [...fields]) if (value === "") fields.delete(name);
}
document.addEventListener("formdata", (event) => {
  if (event.target.method === "get") dropEmpty(event.formData);
});
document.addEventListener("htmx:config:request", (event) => {
  const { body, method } = event.detail.ctx.request;
  if (method === "GET" && body) dropEmpty(body);
});

document.addEventListener("htmx:response:error", (event) => {
  const { status } = event.detail.ctx.response;
  if (status !== 422) toast(`The server answered ${status}: ${event.detail.ctx.text.slice(0, 200)}`);
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.error?.name !== "AbortError") toast("The server does not answer");
});
