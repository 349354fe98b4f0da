import { ask } from "./api.js";
import { at, button, confirmed, make, say, table } from "./dom.js";
import { clock, size } from "./format.js";
import { put } from "./jobs.js";

const path = (key, verb = "") => `/api/windlass/v1/models/${encodeURIComponent(key)}${verb}`;

export async function load() {
  const { models } = await ask("GET", "/api/v1/models");
  at("no-models").hidden = models.length > 0;
  const list = at("model-list");
  const cards = new Map([...list.children].map((card) => [card.shown, card]));
  const wanted = models.map((model) => cards.get(JSON.stringify(model)) ?? card(model));
  if (wanted.length !== list.children.length || wanted.some((each, place) => list.children[place] !== each)) {
    list.replaceChildren(...wanted);
  }
}

function card(model) {
  const said = make("p", { role: "status" });
  const files = make("div");
  const facts = [model.quantization?.name, model.format?.toUpperCase(), model.params_string,
    model.max_context_length ? `context ${model.max_context_length.toLocaleString()}` : "",
    model.capabilities?.vision ? "vision" : "", model.capabilities?.trained_for_tool_use ? "tools" : "",
    model.type === "embedding" ? "embedding" : "", size(model.size_bytes)];
  const more = make("details", { ontoggle: () => more.open && detail(model.key, files) }, make("summary", {}, "Files"), files);
  const element = make("li", { class: "card" },
    make("div", { class: "row between" }, make("h3", {}, model.display_name), make("code", {}, model.key)),
    make("p", { class: "numbers" }, facts.filter(Boolean).join(" · ")),
    make("div", { class: "row" },
      button("Verify", () => verify(model.key, said, false), { "aria-label": `Verify ${model.display_name}` }),
      button("Delete", () => remove(model), { class: "danger", "aria-label": `Delete ${model.display_name}` })),
    said, more);
  element.shown = JSON.stringify(model);
  return element;
}

async function detail(key, into) {
  try {
    const model = await ask("GET", path(key));
    const rows = model.files.map((file) => [file.path, { n: size(file.size_bytes) },
      file.verified ? `verified ${file.verified_at ? clock(file.verified_at) : ""}` : "not verified", make("code", {}, file.digest ?? "")]);
    into.replaceChildren(make("p", {}, make("code", {}, model.path)), table(["File", { n: "Size" }, "State", "Hash"], rows));
  } catch (error) {
    into.replaceChildren(make("p", { class: "bad" }, error.message));
  }
}

async function verify(key, said, repair) {
  said.replaceChildren("Hashing every file: a second for each gigabyte or so …");
  try {
    const found = await ask("POST", path(key, "/verify"), { repair });
    const wrong = found.files.filter((file) => file.verdict !== "whole");
    if (found.job) put(found.job);
    if (found.whole) say(said, "Every byte is as it should be.");
    else if (found.job) say(said, "What is damaged is being fetched again: see Jobs.");
    else said.replaceChildren(`${wrong.map((file) => `${file.path} is ${file.verdict}`).join("; ")}. `,
      button("Fetch what is damaged", () => verify(key, said, true)));
  } catch (error) {
    say(said, "");
    throw error;
  }
}

async function remove(model) {
  const what = [`${model.publisher}: ${model.key}`, model.quantization?.name, size(model.size_bytes)].filter(Boolean);
  const text = `${what.join(", ")}. Files that another model needs stay.`;
  if (!await confirmed(`Delete ${model.display_name}?`, text, "Delete it")) return;
  await ask("DELETE", path(model.key));
  await load();
  at("shelf-title").scrollIntoView();
}
