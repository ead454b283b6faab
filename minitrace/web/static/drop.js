// Files dropped on a page go where the form of /import sends them, and the browser follows. page.js asks for this when
// files are dragged over a page.

const made = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
document.head.append(made("link", { rel: "stylesheet", href: new URL("drop.css", import.meta.url) }));

const title = made("b", {}), note = made("span", { textContent: "Nothing is stored before you say so." });
const sign = made("div", { className: "drop" }, title, note);
let leaving;

// Shows a text over the page for so long; files over it say all the time that they are there.
function show(text, milliseconds) {
  title.textContent = text;
  if (!sign.isConnected) document.body.append(sign);
  clearTimeout(leaving);
  leaving = setTimeout(() => sign.remove(), milliseconds);
}

function send(files) {
  const input = made("input", { type: "file", name: "file", multiple: true, files });
  const form = made("form", { action: new URL("../../import", import.meta.url), method: "post", enctype: "multipart/form-data", hidden: true }, input);
  document.body.append(form);
  form.submit();
}

addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  show("Drop to see what is in it", 300);
});
addEventListener("drop", (event) => {
  const { types, items, files } = event.dataTransfer;
  if (!types.includes("Files")) return;
  event.preventDefault();
  const isFolder = [...items].some((item) => item.webkitGetAsEntry()?.isDirectory);
  show(isFolder ? "This is a folder: drop the files in it" : "Reading…", isFolder ? 3000 : 60000);
  if (!isFolder) send(files);
});
