// A trace's page as a server has it: rows, details and news over HTTP, its state in the address. Defines <mt-trace>, since
// htmx replaces the body when the reader comes back from another page.

import { mount, query } from "./trace.js";

class Trace extends HTMLElement {
  connectedCallback() { this.timeline = mount(this, new Served(this)); }
  disconnectedCallback() { this.timeline.unmount(); }
}

class Served {
  #base;
  #tags = new Map(); // of each document, what it was when it came

  constructor(element) {
    this.#base = element.dataset.base;
    this.inline = element.querySelector("#rows");
  }

  address = {
    read: () => new URLSearchParams(location.search),
    kept: () => history.state ?? {},
    write: (params, isPushed, kept) => {
      const state = { ...history.state, ...kept, htmx: true }, text = query(params); // htmx restores no entry of others
      history[isPushed ? "pushState" : "replaceState"](state, "", location.pathname + (text && `?${text}`));
    },
    of: ({ origin, pathname, search }) => {
      const params = new URLSearchParams(search), isHere = origin === location.origin && pathname === location.pathname;
      return isHere && !params.has("view") && !params.has("page") ? params : null;
    },
    watch: (callback, signal) => document.addEventListener("htmx:before:history:restore", (event) => {
      event.preventDefault(); // it would load the page again
      callback();
    }, { signal }),
  };

  async rows(params) {
    const { inline } = this, url = `${this.#base}/rows.json${params.size ? `?${params}` : ""}`;
    this.inline = null;
    if (inline) return JSON.parse(inline.textContent);
    const answer = await fetch(url), tag = answer.headers.get("ETag");
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
    if (this.#tags.get(url)?.tag !== tag) this.#tags.set(url, { tag, doc: await answer.json() });
    return this.#tags.get(url).doc;
  }

  async find(text, signal) {
    const answer = await fetch(`${this.#base}/find?q=${encodeURIComponent(text)}`, { signal });
    return answer.ok || answer.status === 422 ? answer.json() : {};
  }

  async detail(spanId) {
    const panel = document.getElementById("detail");
    if (!spanId) return panel.replaceChildren();
    await htmx.ajax("GET", `${this.#base}/span/${spanId}${location.search}`, { source: panel, target: panel, swap: "innerHTML" });
    panel.scrollTop = 0;
  }

  // Listens while the page is seen: a browser has six connections for all its pages.
  watch(callback, signal) {
    let stream = null;
    const changed = () => {
      callback();
      if (document.getElementById("summary")) htmx.ajax("GET", location.pathname + location.search, { source: "#summary", target: "#summary", swap: "innerMorph" });
    };
    const listen = () => {
      stream?.close();
      stream = document.hidden ? null : new EventSource(`${this.#base}/stream`);
      stream?.addEventListener("changed", changed);
    };
    document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) changed(); }, { signal });
    signal.addEventListener("abort", () => stream?.close());
    listen();
  }
}

customElements.define("mt-trace", Trace);

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.pinning");
  if (!form) return;
  event.preventDefault();
  htmx.ajax("POST", form.getAttribute("action"), { source: form, event, target: "#pin" });
});
