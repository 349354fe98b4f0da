import { ask, SLOW } from "./api.js";
import { announce, button, make, say, trouble } from "./dom.js";
import { size } from "./format.js";

const PLACES = { gpu: "fits the GPU", "gpu+ram": "fits GPU and memory together", ram: "fits memory", nowhere: "too large for memory" };

const planned = (model, quantization) =>
  ask("POST", "/api/windlass/v1/plan", { model, ...(quantization ? { quantization } : {}) }, SLOW);

/** What a download would do. The choices stay where they are while one is tried after the other; the facts change. */
export class Plan {
  /**
   * @param {string} model a name or a link.
   * @param {(label: string, wanted: object) => Promise<void>} begin is called for who wants it.
   */
  static async of(model, begin) {
    return new Plan(model, await planned(model), begin);
  }

  constructor(model, found, begin) {
    this.model = model;
    this.turn = 0;
    this.title = make("h3", { tabindex: "-1" });
    this.facts = make("div");
    this.room = make("p", { class: "bad" });
    this.download = button("", () => begin(this.label, this.wanted), { class: "main" });
    this.element = make("div", { class: "card" }, this.title, this.facts,
      found.quantizations.length > 1 ? this.choices(found.quantizations) : null, this.room,
      make("div", { class: "row" }, this.download));
    this.show(found);
  }

  get wanted() {
    return { model: this.model, ...(this.quantization ? { quantization: this.quantization } : {}) };
  }

  show(found) {
    this.quantization = found.quantization;
    this.label = [found.display_name, found.quantization].filter(Boolean).join(" · ");
    say(this.title, this.label);
    this.facts.replaceChildren(...facts(found));
    say(this.room, found.fits_disk ? "" : "There is not enough room on the disk for it.");
    const fetched = found.bytes_to_fetch;
    say(this.download.button, fetched ? `Download ${size(fetched)}` : "Bring it in");
    announce(`${this.label}: ${fetched ? `${size(fetched)} to fetch` : "it is on this machine"}`);
  }

  /** A chosen quantization is planned anew: what of it is here already differs. Until then nothing can be started. */
  async choose(name) {
    const mine = ++this.turn;
    this.download.button.ariaDisabled = "true";
    this.facts.replaceChildren(make("p", { class: "quiet" }, "Looking …"));
    try {
      const found = await planned(this.model, name);
      if (mine !== this.turn) return;
      this.show(found);
      this.download.button.ariaDisabled = null;
    } catch (error) {
      if (mine !== this.turn) return;
      const wrong = make("p", { class: "bad", role: "alert" });
      this.facts.replaceChildren(wrong);
      trouble(wrong, error);
    }
  }

  choices(quantizations) {
    const choice = (one) => make("label", { class: "choice" },
      make("input", { type: "radio", name: "quantization", value: one.name, checked: one.selected, onchange: () => this.choose(one.name) }),
      make("span", {}, one.name), make("span", {}, one.format.toUpperCase()), make("span", {}, size(one.size_bytes)),
      make("small", {}, [one.default ? "recommended" : "", PLACES[one.fits_memory] ?? "", one.fits_disk ? "" : "no room on the disk"]
        .filter(Boolean).join(", ")));
    return make("fieldset", {}, make("legend", {}, "Quantization"), ...quantizations.map(choice));
  }
}

function facts(found) {
  const texts = [`${found.format.toUpperCase()}, ${found.files.length} ${found.files.length === 1 ? "file" : "files"}, ${size(found.total_size_bytes)}`,
    found.bytes_to_fetch ? `${size(found.bytes_to_fetch)} to fetch` : "nothing to fetch: it is on this machine",
    `${size(found.free_bytes)} may be used in ${found.models_dir}`];
  return [make("p", { class: "numbers" }, texts.join(" · ")),
    make("p", {}, make("small", {}, found.why ?? "")),
    ...found.warnings.map((text) => make("p", { class: "quiet" }, text)),
    ...(found.gated
      ? [make("p", {}, "Its owner asks for access to be requested: ", make("a", { href: found.url, rel: "noreferrer" }, found.url))] : [])];
}
