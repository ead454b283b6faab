// The live tail: rows that htmx brought into the inbox go into the table, or wait while somebody reads there. A trace
// that is there already stays where it is. What nobody has seen yet is told by the title and the icon.

import { KEYS } from "./page.js";

const tail = document.getElementById("tail");
if (tail) watch();

function watch() {
  const at = (id) => document.getElementById(id);
  const [list, inbox, pause, newer, rate, connection, spoken] =
    ["list", "inbox", "pause", "newer", "rate", "connection", "spoken"].map(at);
  const icon = document.querySelector("link[rel=icon]"), calm = icon.href, title = document.title;
  const most = Number(tail.dataset.most), WINDOW_S = 10, REMEMBERED = 10 * most, FLASHING = 10;
  const shown = new Map(), known = new Map();
  let held = new Map(), isPaused = new URLSearchParams(location.search).get("paused") === "1";
  let place = tail.dataset.place, unseen = 0, elsewhere = 0;
  let counts = [], told = { traces: 0, errors: 0 };
  const opened = performance.now();

  for (const row of list.tBodies) {
    shown.set(keyOf(row), row);
    known.set(keyOf(row), "failed" in row.dataset);
  }

  function keyOf(row) {
    return row.dataset.trace ?? `gap ${row.dataset.gap}`;
  }

  // Whether rows must stay where they are.
  function isReading() {
    const selection = getSelection();
    return isPaused || scrollY > 8 || list.matches(":hover") || list.contains(document.activeElement)
      || (!selection.isCollapsed && selection.containsNode(list, true));
  }

  function take() {
    const rows = new Map([...inbox.tBodies].map((row) => [keyOf(row), row]));
    inbox.replaceChildren();
    count(rows);
    held = merged(rows, held);
    settle();
  }

  // Newer rows before older ones, each trace once and in the place that it had.
  function merged(rows, before) {
    const all = new Map([...[...rows].filter(([key]) => !before.has(key)), ...before]);
    for (const [key, row] of rows) all.set(key, row);
    return new Map([...all].slice(0, most));
  }

  function count(rows) {
    const news = { traces: 0, errors: 0 };
    for (const [key, row] of rows) {
      if (row.dataset.gap) continue;
      const hasFailed = "failed" in row.dataset;
      if (!known.has(key)) news.traces += 1;
      if (hasFailed && !known.get(key)) news.errors += 1;
      known.set(key, hasFailed);
    }
    for (const key of [...known.keys()].slice(0, Math.max(0, known.size - REMEMBERED))) known.delete(key);
    counts.push({ time: performance.now(), ...news });
    told = { traces: told.traces + news.traces, errors: told.errors + news.errors };
    unseen += news.errors;
  }

  // Shows what is held, unless somebody reads; says how much is held otherwise.
  function settle() {
    if (!isReading()) release();
    const fresh = [...held.keys()].filter((key) => !shown.has(key)).length;
    newer.hidden = !fresh;
    newer.textContent = `${fresh}${held.size === most ? "+" : ""} new`;
    alarm();
  }

  function release() {
    const fresh = document.createDocumentFragment();
    for (const [key, row] of held) {
      if (shown.has(key)) {
        shown.get(key).replaceWith(row);
      } else {
        row.classList.add("fresh");
        fresh.append(row);
      }
      shown.set(key, row);
    }
    held = new Map();
    tail.classList.toggle("busy", fresh.childElementCount > FLASHING);
    list.tHead.after(fresh);
    for (const row of [...list.tBodies].slice(most)) {
      shown.delete(keyOf(row));
      row.remove();
    }
  }

  function alarm() {
    if (!held.size && !document.hidden && document.hasFocus()) unseen = elsewhere = 0;
    const errors = unseen + elsewhere;
    document.title = errors ? `(${errors} ${errors === 1 ? "error" : "errors"}) ${title}` : title;
    const href = errors ? tail.dataset.alarm : calm;
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  function say(state, text) {
    tail.dataset.state = isPaused && state === "live" ? "paused" : state;
    connection.lastChild.textContent = isPaused && state === "live" ? "Paused" : text;
  }

  function toggle() {
    isPaused = !isPaused;
    const { href } = pause;
    pause.href = pause.dataset.other;
    pause.dataset.other = href;
    pause.textContent = isPaused ? "Resume" : "Pause";
    history.replaceState(history.state, "", href);
    say("live", "Live");
    settle();
  }

  pause.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    toggle();
  });
  newer.addEventListener("click", () => {
    scrollTo(0, 0);
    release();
    settle();
  });
  KEYS.p = toggle;
  for (const type of ["scroll", "selectionchange", "focusout", "visibilitychange"]) {
    document.addEventListener(type, () => requestAnimationFrame(settle), { passive: true });
  }
  addEventListener("focus", settle);
  list.addEventListener("pointerleave", () => requestAnimationFrame(settle));

  inbox.addEventListener("htmx:sse:after:connection", () => say("live", "Live"));
  inbox.addEventListener("htmx:sse:before:message", ({ detail }) => { place = detail.message.id || place; });
  inbox.addEventListener("htmx:sse:after:message", take);
  inbox.addEventListener("htmx:sse:error", () => say("lost", "Connecting again…"));
  for (const type of ["htmx:response:error", "htmx:sse:close", "htmx:error"]) {
    inbox.addEventListener(type, () => {
      say("lost", "Connecting again…");
      at("after").value = place;
      setTimeout(() => htmx.trigger(inbox, "again"), 5000);
    });
  }
  say("live", "Live");

  setInterval(() => {
    const now = performance.now();
    counts = counts.filter(({ time }) => now - time < WINDOW_S * 1000);
    const seconds = Math.max(1, Math.min(WINDOW_S, (now - opened) / 1000));
    const sum = (name) => counts.reduce((total, each) => total + each[name], 0) / seconds;
    const errors = sum("errors");
    rate.textContent = `${sum("traces").toFixed(1)} traces/s` + (errors ? `, ${errors.toFixed(1)} with errors` : "");
  }, 1000);

  // A tab in the background has no stream: it asks now and then how many errors there were.
  setInterval(async () => {
    if (told.traces && !document.hidden) spoken.textContent = `${told.traces} new traces, ${told.errors} with errors`;
    told = { traces: 0, errors: 0 };
    if (!document.hidden) return;
    const q = new URLSearchParams(location.search).get("q") ?? "";
    try {
      const answer = await fetch(`${tail.dataset.count}?${new URLSearchParams({ q, after: place })}`);
      if (answer.ok && document.hidden) elsewhere = (await answer.json()).errors;
    } catch { /* the server is away */ }
    alarm();
  }, 10000);
}
