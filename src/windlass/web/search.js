import { ask, SLOW } from "./api.js";
import { announce, button, make } from "./dom.js";

/**
 * What is found for these words, as a list that grows by the page.
 * @param {(model: string) => Promise<void>} choose is called with a name or a link.
 */
export async function search(words, choose) {
  const list = make("ul", { class: "hits" });
  const notes = make("div");
  const more = button("More", () => page(), { "aria-label": "More of what was found" });
  let cursor = "";

  async function page() {
    const found = await ask("GET", `/api/windlass/v1/search?limit=20&q=${encodeURIComponent(words)}&cursor=${encodeURIComponent(cursor)}`,
      undefined, SLOW);
    const had = more.contains(document.activeElement);
    const hits = found.models.map((model) => hit(model, choose));
    notes.append(...found.warnings.map((text) => make("p", { class: "quiet" }, text)));
    list.append(...hits);
    cursor = found.next_cursor;
    more.hidden = !cursor;
    if (had) hits[0]?.querySelector("button").focus(); // what is new begins there
    announce(`${list.children.length} found${cursor ? ", and there are more" : ""}.`);
  }

  await page();
  return make("div", { tabindex: "-1" }, notes, list, list.children.length ? null : make("p", {}, "Nothing of that name was found."), more);
}

function hit(model, choose) {
  const facts = [model.formats.join(", ").toUpperCase(), model.downloads === undefined ? "" : `${model.downloads.toLocaleString()} downloads`,
    model.gated ? "access is asked for" : ""];
  return make("li", {},
    make("div", { class: "row" },
      button(model.id, () => choose(model.url ?? model.id), { "aria-label": `Show what ${model.id} would bring in` }),
      make("small", {}, facts.filter(Boolean).join(" · "))),
    make("p", {}, model.description || model.display_name || ""));
}
