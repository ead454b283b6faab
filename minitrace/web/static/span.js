// The field above a span's attributes: it leaves those that have its text in their key or value.
// The listener is on the document, because htmx brings and takes the panel.

document.addEventListener("input", (event) => {
  const field = event.target.closest?.("input.sift");
  if (!field) return;
  const text = field.value.trim().toLowerCase();
  const panel = field.closest(".span-detail");
  panel.classList.toggle("sifted", text !== "");
  for (const row of panel.querySelectorAll(".attributes tbody")) {
    const parts = [...row.querySelectorAll("th, .value, pre")];
    row.hidden = !parts.some((part) => part.textContent.toLowerCase().includes(text));
  }
});
