// <mt-query> around a <textarea>: a list of what may stand at the caret, as an ARIA combobox, and what cannot be read
// underlined; the server's parser knows both. Without scripts it is the textarea alone.
//
// The mirror is a copy of the text behind the textarea. It makes the box as high as its text, tells where the caret
// is, and carries the underline.

const ADDRESS = new URL("../../_/complete", import.meta.url);
const PAUSE_MS = 80, LONGEST = 4000;  // characters that fit into an address
const RANGE = ["since", "from", "to"];
let boxes = 0;

// The server counts characters, JavaScript halves of some.
const characters = (text) => [...text].length;
const units = (text, count) => [...text].slice(0, count).join("").length;

const integer = (number) => number.toLocaleString("en").replaceAll(",", "\u2009"); // as the pages have it

function made(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

class Query extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector("textarea");
    if (!this.field || this.list) return;
    const id = `mt-query-${++boxes}`;
    this.mirror = made("pre", { className: "mirror", ariaHidden: "true" });
    this.list = made("ul", { id, className: "choices", role: "listbox", ariaLabel: "Suggestions", hidden: true });
    this.list.setAttribute("hx-ignore", "");
    this.note = made("p", { id: `${id}-note`, className: "note", role: "status" });
    this.attach();
    this.close();
    this.paint();
    this.field.addEventListener("input", (event) => this.changed(event));
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("blur", () => this.close());
    this.field.addEventListener("scroll", () => { this.mirror.scrollTop = this.field.scrollTop; });
    this.field.addEventListener("selectionchange", () => this.moved());
    const { form } = this.field;
    form?.addEventListener("reset", () => setTimeout(() => this.paint()));
    form?.addEventListener("submit", () => this.rest());
    form?.addEventListener("change", ({ target }) => { if (target !== this.field) this.rest(); });
    // The field keeps the focus, and a phone its keyboard.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
      if (option) this.accept([...this.list.children].indexOf(option));
    });
  }

  // What a morphed page has taken away comes back.
  attach() {
    if (this.list.parentNode === this && this.mirror.parentNode === this && this.field.role === "combobox") return;
    const { id } = this.list, described = this.field.getAttribute("aria-describedby") ?? "";
    this.field.setAttribute("role", "combobox");
    this.field.setAttribute("aria-autocomplete", "list");
    this.field.setAttribute("aria-controls", id);
    if (!described.includes(this.note.id)) this.field.setAttribute("aria-describedby", `${described} ${this.note.id}`.trim());
    this.append(this.mirror, this.list, this.note);
  }

  get isOpen() { return !this.list.hidden; }

  changed(event) {
    this.attach();
    this.rest();
    this.classList.add("typing");
    if (!event.isComposing) this.ask(PAUSE_MS);
  }

  // Nobody types: what the page says of the whole query counts again, not what is said here of a part of it.
  rest() {
    this.classList.remove("typing");
    this.diagnostic = null;
    this.paint();
  }

  // The list is about a place: it goes when the caret does.
  moved() {
    if (this.isOpen && !this.isWaiting && this.field.selectionStart !== this.caret) this.close();
  }

  ask(pause) {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.isWaiting = true;
    this.isHurried = false;
    this.timer = setTimeout(() => this.fetch(), pause);
  }

  async fetch() {
    const { value, selectionStart: caret } = this.field;
    const asked = this.asked = new AbortController();
    if (value.length > LONGEST) {
      this.rest();
      return this.close();
    }
    const question = new URLSearchParams({ q: value, pos: characters(value.slice(0, caret)) });
    const form = this.field.form && new FormData(this.field.form);
    for (const name of RANGE) if (form?.get(name)) question.set(name, form.get(name));
    try {
      const answer = await fetch(`${ADDRESS}?${question}`, { signal: asked.signal });
      const found = answer.ok ? await answer.json() : { items: [], diagnostic: null };
      if (asked.signal.aborted || value !== this.field.value) return;
      this.isWaiting = false;
      this.caret = caret;
      this.show(found);
    } catch {
      if (!asked.signal.aborted) this.close();
    }
  }

  show({ from, to, items, diagnostic }) {
    const { value } = this.field;
    this.diagnostic = diagnostic;
    this.items = items;
    this.range = [units(value, from), units(value, to)];
    this.paint();
    this.list.replaceChildren(...items.map((item, index) => this.option(item, index)));
    if (!items.length || document.activeElement !== this.field || this.field.selectionStart !== this.caret) return this.close();
    this.choose(-1);
    this.list.hidden = false;
    this.list.scrollTop = 0;
    this.field.ariaExpanded = "true";
    this.place();
    if (this.isHurried) this.accept(0);
  }

  option({ label, kind, detail, count }, index) {
    const parts = [made("b", { textContent: label }), made("span", { textContent: detail })];
    if (count) parts.push(made("i", { textContent: integer(count) }));
    return made("li", { id: `${this.list.id}-${index}`, role: "option", className: kind }, ...parts);
  }

  // Puts the list below the beginning of what it will replace; a narrow screen has it below the box (complete.css).
  place() {
    const { value } = this.field, mark = document.createElement("span");
    this.mirror.replaceChildren(value.slice(0, this.range[0]), mark, value.slice(this.range[0]) + "\n");
    const left = Math.min(mark.offsetLeft, this.clientWidth - this.list.offsetWidth);
    this.list.style.left = `${Math.max(0, left)}px`;
    this.list.style.top = `${mark.offsetTop + mark.offsetHeight - this.field.scrollTop + 4}px`;
    this.paint();
  }

  paint() {
    const { value } = this.field, { diagnostic } = this;
    this.note.textContent = diagnostic?.message ?? "";
    this.field.ariaInvalid = diagnostic ? "true" : null;
    if (!diagnostic) return this.mirror.replaceChildren(value + "\n");
    const start = units(value, diagnostic.from), end = Math.max(units(value, diagnostic.to), start + 1);
    const mark = made("mark", { textContent: value.slice(start, end) || " " });
    this.mirror.replaceChildren(value.slice(0, start), mark, value.slice(end) + "\n");
  }

  close() {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.isWaiting = false;
    this.list.hidden = true;
    this.field.ariaExpanded = "false";
    this.choose(-1);
  }

  choose(index) {
    this.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    this.chosen = index;
    const option = this.list.children[index];
    if (!option) return this.field.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", option.id);
  }

  // Letters may have come since the list did: another item is the first one soon.
  fits({ label }) {
    const { value, selectionStart } = this.field;
    return !this.isWaiting || label.includes(value.slice(this.range[0], selectionStart));
  }

  accept(index) {
    const { insert } = this.items[index], [from, end] = this.range;
    const to = Math.max(from, end + this.field.selectionStart - this.caret);  // letters may have come since the list did
    this.close();
    this.field.focus();
    this.field.setSelectionRange(from, to);
    if (document.execCommand("insertText", false, insert)) return;  // the one way that can be undone
    this.field.setRangeText(insert, from, to, "end");
    this.field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  key(event) {
    if (event.isComposing || event.altKey || event.metaKey) return;
    const act = event.ctrlKey ? event.key === " " && (() => this.ask(0)) : this.action(event);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // What a key does here; nothing for one that does what it always does.
  action({ key, shiftKey }) {
    const { isOpen, chosen } = this, last = (this.items?.length ?? 0) - 1;
    if (key === "Enter" && !shiftKey) return isOpen && chosen >= 0 ? () => this.accept(chosen) : () => this.submit();
    if (!isOpen) return null;
    switch (key) {
      case "ArrowDown": return () => this.choose(chosen < last ? chosen + 1 : 0);
      case "ArrowUp": return () => this.choose(chosen > 0 ? chosen - 1 : last);
      case "PageDown": return () => this.choose(Math.min(chosen + 8, last));
      case "PageUp": return () => this.choose(Math.max(chosen - 8, 0));
      case "Escape": return () => this.close();
      case "Tab": {
        const first = chosen >= 0 ? chosen : this.field.value.includes("{") ? 0 : -1;  // words are left as they are
        if (shiftKey || first < 0) return null;
        return chosen < 0 && !this.fits(this.items[0]) ? () => { this.isHurried = true; } : () => this.accept(first);
      }
    }
    return null;
  }

  submit() {
    this.close();
    this.field.form?.requestSubmit();
  }
}
customElements.define("mt-query", Query);
