// The command menu, opened with ".": every link and button that the page shows, found by typing a part of its name.

const ACTIONS = "nav a, .actions :is(a, button), .views a, .tally a, .tools button, .theme button, main > a, .foot a, [data-command]";

const nameOf = (element) => (element.title || element.ariaLabel || element.textContent).trim().replace(/\s+/g, " ");

// What can be done now, by its name; of two of the same name the first.
function commands() {
  const found = new Map();
  for (const element of document.querySelectorAll(ACTIONS)) {
    const isThere = element.checkVisibility() || element.closest("details:not([open])")?.checkVisibility();
    const name = nameOf(element);
    if (isThere && name && !element.disabled && !found.has(name)) found.set(name, element);
  }
  return found;
}

document.head.append(made("link", { rel: "stylesheet", href: new URL("menu.css", import.meta.url) }));

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Opens it; `typed` is what was typed while it was on its way.
export function open(typed) {
  const found = commands();
  const box = made("input", { type: "search", value: typed, ariaLabel: "Command", placeholder: "Type a part of its name", role: "combobox" });
  const list = made("ul", { id: "commands", role: "listbox", ariaLabel: "Commands" });
  const dialog = made("dialog", { className: "commands", ariaLabel: "Commands" }, box, list);
  let chosen = 0;

  const options = () => [...list.children];
  const choose = (number) => {
    chosen = Math.max(0, Math.min(number, list.children.length - 1));
    options().forEach((option, i) => { option.ariaSelected = i === chosen; });
    const option = list.children[chosen];
    option?.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", option?.id ?? "");
  };
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/);
    const names = [...found.keys()].filter((name) => words.every((word) => name.toLowerCase().includes(word)));
    list.replaceChildren(...names.map((name, i) => made("li", { id: `command-${i}`, role: "option", textContent: name })));
    if (!names.length) list.append(made("li", { className: "none", textContent: "Nothing of this name" }));
    choose(0);
  };
  const run = (option) => {
    const element = found.get(option?.textContent);
    if (!element) return;
    dialog.close();
    element.click();
  };

  box.setAttribute("aria-controls", list.id);
  box.setAttribute("aria-expanded", "true");
  box.addEventListener("input", show);
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter") run(list.children[chosen]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => run(event.target.closest("li")));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  show();
  dialog.showModal();
}
