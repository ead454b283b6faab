// A trace's page as a server has it: rows, details and news over HTTP, its state in the address. An element, since htmx
// replaces the body when the reader comes back from another page.

import { on } from "./page.js";
import { Timeline, query } from "./trace.js";

class Trace extends HTMLElement {
  #base;
  #tag; // of the document that came last
  #doc;
  #skew;

  connectedCallback() {
    this.#base = this.dataset.base;
    this.timeline = new Timeline(this, this);
  }
  disconnectedCallback() { this.timeline.stop(); }

  read() { return new URLSearchParams(location.search); }
  url(text) { return location.pathname + (text && `?${text}`); }

  paramsOf({ origin, pathname, search }) {
    const params = new URLSearchParams(search), isHere = origin === location.origin && pathname === location.pathname;
    return isHere && !params.has("view") && !params.has("page") && params;
  }

  watchAddress(callback, signal) {
    document.addEventListener("htmx:before:history:restore", (event) => {
      event.preventDefault(); // it would load the page again
      callback();
    }, { signal });
  }

  async rows(params) {
    const inline = this.querySelector("#rows"), url = `${this.#base}/rows.json?${params}`;
    inline?.remove();
    if (inline) return JSON.parse(inline.textContent);
    const answer = await fetch(url), tag = url + answer.headers.get("ETag");
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
    if (tag !== this.#tag) this.#doc = await answer.json();
    this.#tag = tag;
    return this.#doc;
  }

  async find(text, signal) {
    const answer = await fetch(`${this.#base}/find?q=${encodeURIComponent(text)}`, { signal });
    return answer.ok || answer.status === 422 ? answer.json() : {};
  }

  async detail(span) {
    const panel = document.getElementById("detail"), before = panel.firstElementChild;
    if (!span) return panel.replaceChildren();
    await htmx.ajax("GET", `${this.#base}/span/${span}${location.search}`, { source: panel, target: panel, swap: "innerHTML" });
    panel.scrollTop = 0;
    return panel.firstElementChild !== before;
  }

  // What is seen now: other views are one click from it.
  viewed(params) {
    const skew = params.get("skew");
    for (const link of document.querySelectorAll(".views a")) {
      const view = new URLSearchParams(link.search).getAll("view").map((name) => ["view", name]);
      link.search = query(new URLSearchParams([...view, ...params]));
    }
    if (this.#skew !== undefined && this.#skew !== skew) this.#renew();
    this.#skew = skew;
  }

  #renew() {
    htmx.ajax("GET", this.url(location.search.slice(1)), { source: "#summary", target: "#summary", swap: "innerMorph" });
  }

  // Listens while the page is seen: a browser has six connections for all its pages.
  watchSpans(callback, signal) {
    let stream = null;
    const changed = () => {
      callback();
      this.#renew();
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

on("submit", "form.pinning", (form, event) => {
  event.preventDefault();
  htmx.ajax("POST", form.getAttribute("action"), { source: form, event, target: "#pin" });
});
