import { ask } from "./api.js";
import { at, button, make, table } from "./dom.js";
import { size } from "./format.js";
import { put } from "./jobs.js";

const PLACES = { gpu: "fits the GPU", "gpu+ram": "fits GPU and memory together", ram: "fits memory", nowhere: "too large for memory" };
let turn = 0;

/** What a person typed is a name or a link if it looks like one, else words to search for. */
const isName = (text) => !/\s/.test(text) && text.includes("/");

export function start() {
  at("wish").addEventListener("submit", (event) => {
    event.preventDefault();
    look(at("name").value.trim());
  });
}

async function look(text) {
  await shown(isName(text) ? () => plan(text) : () => search(text));
}

/** Show what comes of it, unless something else was asked for meanwhile. */
async function shown(work) {
  const mine = ++turn;
  at("found").replaceChildren(make("p", { class: "quiet" }, "Looking …"));
  let content;
  try {
    content = await work();
  } catch (error) {
    content = make("p", { class: "bad", role: "alert" }, error.message);
  }
  if (mine === turn) at("found").replaceChildren(content);
}

async function search(text) {
  const { models, warnings } = await ask("GET", `/api/windlass/v1/search?limit=20&q=${encodeURIComponent(text)}`);
  const rows = models.map((model) => [
    button(model.id, () => look(model.url ?? model.id), { "aria-label": `Show what ${model.id} would bring in` }),
    [model.description || model.display_name || "", model.gated ? "(access is asked for)" : ""].join(" "),
    model.formats.join(", "), { n: model.downloads?.toLocaleString() ?? "" }]);
  return make("div", {}, ...warnings.map((text) => make("p", { class: "quiet" }, text)),
    models.length ? table(["Model", "What it is", "Formats", { n: "Downloads" }], rows) : make("p", {}, "Nothing of that name was found."));
}

/** What a download would do. A chosen quantization is planned anew: what of it is here already differs. */
async function plan(model, quantization) {
  const found = await ask("POST", "/api/windlass/v1/plan", { model, ...(quantization ? { quantization } : {}) });
  const fetched = found.bytes_to_fetch;
  const title = make("h3", {}, [found.display_name, found.quantization].filter(Boolean).join(" · "));
  const facts = [`${found.format.toUpperCase()}, ${found.files.length} ${found.files.length === 1 ? "file" : "files"}, ${size(found.total_size_bytes)}`,
    fetched ? `${size(fetched)} to fetch` : "nothing to fetch: it is on this machine", `${size(found.free_bytes)} may be used in ${found.models_dir}`];
  return make("div", { class: "card" }, title,
    make("p", { class: "numbers" }, facts.join(" · ")),
    make("p", {}, make("small", {}, found.why ?? "")),
    ...found.warnings.map((text) => make("p", { class: "quiet" }, text)),
    found.gated ? make("p", {}, "Its owner asks for access to be requested: ", make("a", { href: found.url, rel: "noreferrer" }, found.url)) : null,
    found.quantizations.length > 1 ? choices(model, found.quantizations) : null,
    found.fits_disk ? null : make("p", { class: "bad" }, "There is not enough room on the disk for it."),
    make("div", { class: "row" }, button(fetched ? `Download ${size(fetched)}` : "Bring it in", async () => {
      const wanted = found.quantization ? { model, quantization: found.quantization } : { model };
      const { job_id: id } = await ask("POST", "/api/v1/models/download", wanted);
      put(await ask("GET", `/api/windlass/v1/jobs/${id}`));
      const said = make("p", { class: "good", tabindex: "-1" }, `${title.textContent} is on its way, or here: see Jobs.`);
      at("found").replaceChildren(said);
      said.focus(); // the button that had it is gone
    }, { class: "main" })));
}

function choices(model, quantizations) {
  const choice = (one) => make("label", { class: "choice" },
    make("input", { type: "radio", name: "quantization", value: one.name, checked: one.selected,
      onchange: () => shown(() => plan(model, one.name)).then(() => document.querySelector("#found input:checked")?.focus()) }),
    make("span", {}, one.name), make("span", {}, one.format.toUpperCase()), make("span", {}, size(one.size_bytes)),
    make("small", {}, [one.default ? "recommended" : "", PLACES[one.fits_memory] ?? "", one.fits_disk ? "" : "no room on the disk"]
      .filter(Boolean).join(", ")));
  return make("fieldset", {}, make("legend", {}, "Quantization"), ...quantizations.map(choice));
}
