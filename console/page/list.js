// Lists that come in pages, with a search.
import { $, element, explain, say } from "./dom.js";

// List shows what load returns in the list of a section. load takes what was searched for and where
// to go on, and returns the items, and where the next page begins, undefined for none.
export class List {
  #section;
  #load;
  #show;
  #running = null; // aborts the load that is under way
  #next;

  constructor(section, load, show) {
    this.#section = section;
    this.#load = load;
    this.#show = show;
    const more = $(".more", section);
    more.addEventListener("click", async () => {
      const before = $(".list", section).childElementCount;
      await this.#page(this.#next);
      $(".list", section).children[before]?.querySelector("button, strong")?.focus();
    });
    const search = $("[type=search]", section);
    let waiting = 0;
    search?.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.begin(), 250);
    });
    search?.form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      this.begin();
    });
  }

  // begin loads the first page.
  begin() {
    return this.#page();
  }

  // clear empties the list.
  clear() {
    this.#running?.abort();
    $(".list", this.#section).replaceChildren();
    $(".more", this.#section).hidden = true;
    const search = $("[type=search]", this.#section);
    if (search) search.value = "";
    explain(this.#error);
  }

  get #error() {
    return $(":scope > .error", this.#section);
  }

  async #page(after) {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const list = $(".list", this.#section);
    const more = $(".more", this.#section);
    explain(this.#error);
    list.ariaBusy = "true";
    more.disabled = true;
    try {
      const search = $("[type=search]", this.#section)?.value.trim() ?? "";
      const { items, next } = await this.#load({ search, after, signal: running.signal });
      if (running.signal.aborted) return;
      const shown = items.map((item) => this.#show(item));
      // Whoever has come to a button by keyboard stays there when the list is loaded again.
      const held = list.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
      if (after === undefined) list.replaceChildren(...shown);
      else list.append(...shown);
      if (held) [...list.querySelectorAll("button")].find((button) => button.ariaLabel === held)?.focus();
      this.#next = next;
      more.hidden = next === undefined;
      say(list.childElementCount === 0 ? (search ? "Nothing was found." : "There is nothing here yet.") : "");
    } catch (err) {
      if (err.name === "AbortError") return;
      explain(this.#error, err);
    } finally {
      if (this.#running === running) {
        list.ariaBusy = "false";
        more.disabled = false;
      }
    }
  }
}

// row is an item of a list: a title, what there is to say about it, and what can be done with it.
export function row(title, details, ...buttons) {
  const said = element("small", {}, details.filter(Boolean).join(" · "));
  return element("li", {}, element("div", {}, element("strong", { tabIndex: -1 }, title), said), ...buttons);
}

// action is a button of a row, with a name that tells it from those of other rows.
export function action(text, title, run) {
  const button = element("button", { type: "button", className: "second", ariaLabel: `${text}: ${title}` }, text);
  button.addEventListener("click", () => run(button));
  return button;
}
