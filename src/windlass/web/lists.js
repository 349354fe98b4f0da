/** Lists and tables that change under the eyes of who reads them: the focus, what is marked and what is scrolled stay. */

import { make, say } from "./dom.js";

/** Take an element out of its list. Who was in it finds himself in the next one, or `otherwise`. */
export function drop(element, otherwise) {
  const had = element.contains(document.activeElement);
  const next = element.nextElementSibling ?? element.previousElementSibling;
  element.remove();
  if (had) (next?.querySelector("button") ?? otherwise).focus();
}

/** The element in which somebody is: by the focus, or by what he has marked. */
function held(elements) {
  const marked = getSelection();
  return elements.find((each) => each.contains(document.activeElement))
    ?? (marked.isCollapsed ? undefined : elements.find((each) => each.contains(marked.anchorNode)));
}

/**
 * Have a list show these elements in this order. Moving one drops its focus, so the others are moved around the one in
 * which somebody is, and the page is scrolled so that he sees it where it was.
 * @param {HTMLElement} otherwise gets the focus where it was in the only element, and that is gone.
 */
export function arrange(list, wanted, otherwise) {
  const kept = new Set(wanted);
  for (const child of [...list.children]) if (!kept.has(child)) drop(child, otherwise);
  const still = held([...list.children]);
  const before = still?.getBoundingClientRect();
  let next = list.firstElementChild;
  for (const each of wanted) {
    while (each === still && next !== still) {
      const after = next.nextElementSibling;
      list.append(next); // its turn comes
      next = after;
    }
    if (each === next) next = next.nextElementSibling;
    else list.insertBefore(each, next);
  }
  if (still && before.top < innerHeight && before.bottom > 0) {
    scrollBy({ top: still.getBoundingClientRect().top - before.top, behavior: "instant" });
  }
}

/** A table of texts whose cells are changed in place. */
export class Table {
  /**
   * @param {string} name what it is of, for who hears it.
   * @param {(string | {n: string} | {code: string})[]} head `n` is a column of numbers, `code` one of signs.
   */
  constructor(name, head) {
    this.kinds = head.map((title) => (typeof title === "string" ? "" : Object.keys(title)[0]));
    this.body = make("tbody");
    const titles = head.map((title, column) => make("th", { scope: "col", class: this.kinds[column] }, title.n ?? title.code ?? title));
    this.element = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name },
      make("table", {}, make("thead", {}, make("tr", {}, ...titles)), this.body));
  }

  /** @param {string[][]} rows */
  show(rows) {
    while (this.body.children.length > rows.length) this.body.lastElementChild.remove();
    rows.forEach((row, place) => {
      const line = this.body.children[place]
        ?? this.body.appendChild(make("tr", {}, ...this.kinds.map((kind) => make("td", { class: kind }))));
      row.forEach((text, column) => say(line.children[column], text));
    });
  }
}
