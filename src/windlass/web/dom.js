/** Elements are made here and nowhere else, and text is only ever text: what a hub calls a model cannot become markup. */

/**
 * @param {string} tag
 * @param {Record<string, unknown>} attributes `on…` are listeners; true and false are attributes without a value.
 * @param {...(Node|string|null|undefined|false)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {string} id */
export const at = (id) => document.getElementById(id);

/** Say it only when it is new: a screen reader reads again what is written again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** One short line for those who hear the page; it can be seen where it happens. */
export function announce(text) {
  at("news").textContent = "";
  at("news").textContent = text;
}

/** Say what went wrong. That the server does not answer is true only until it does: `answers` takes it back. */
export function trouble(element, error) {
  say(element, error?.message ?? "");
  element.toggleAttribute("data-unanswered", error?.status === 0);
}

/** The server answers again. */
export function answers() {
  for (const element of document.querySelectorAll("[data-unanswered]")) trouble(element, null);
}

/** A button that cannot be pressed a second time while it works, and shows what went wrong beside it. */
export function button(text, act, attributes = {}) {
  const wrong = make("span", { class: "bad", role: "alert" });
  const pressed = make("button", { type: "button", ...attributes }, text);
  pressed.addEventListener("click", async () => {
    if (pressed.ariaDisabled === "true") return;
    pressed.ariaDisabled = "true"; // not `disabled`, which would take the focus away
    trouble(wrong, null);
    try {
      await act(pressed);
    } catch (error) {
      trouble(wrong, error);
    } finally {
      pressed.ariaDisabled = null;
    }
  });
  const both = make("span", {}, pressed, wrong);
  both.button = pressed;
  return both;
}

/** Ask before what cannot be taken back. */
export async function confirmed(title, text, yes) {
  const dialog = at("confirm-dialog");
  say(at("confirm-title"), title);
  say(at("confirm-text"), text);
  say(at("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}

/** A form whose fields are saved by Enter, too; the page itself says what is wrong with them. */
export const form = (...children) => make("form", { novalidate: true, onsubmit: (event) => event.preventDefault() }, ...children);
