import { ask } from "./api.js";
import { announce, at, button, confirmed, make, say, trouble } from "./dom.js";
import { clock, size } from "./format.js";
import { OVER, shown } from "./jobs.js";
import { arrange, Table } from "./lists.js";

const LONG = 86_400; // seconds: to hash a large model on a slow disk takes hours
const path = (key, verb = "") => `/api/windlass/v1/models/${encodeURIComponent(key)}${verb}`;
const cards = new Map();
const repairs = new Map(); // the card that waits for a job, by the job's id
let asked = 0;
let answered = 0;

/** The models that are here now. What was asked for earlier says nothing any more once a later answer is shown. */
export async function load() {
  const mine = ++asked;
  const { models } = await ask("GET", "/api/v1/models");
  if (mine < answered) return;
  answered = mine;
  const before = new Map(cards);
  cards.clear();
  for (const model of models) {
    const card = before.get(model.key) ?? new Card();
    card.show(model);
    cards.set(model.key, card);
  }
  arrange(at("model-list"), [...cards.values()].map((card) => card.element), at("shelf-title"));
  at("no-models").hidden = models.length > 0;
}

/** A job is over: the card of a model that it was to mend says what came of it. */
export function over(job) {
  repairs.get(job.job_id)?.mended(job.status === "completed");
  repairs.delete(job.job_id);
}

/** One model, as a card that is changed in place. */
class Card {
  constructor() {
    this.name = make("h3");
    this.key = make("code");
    this.facts = make("p", { class: "numbers" });
    this.said = make("p", { role: "status" });
    this.damage = make("p");
    this.verifying = button("Verify", () => this.tell(() => this.verify(false)));
    this.deleting = button("Delete", () => this.tell(() => this.remove()), { class: "danger" });
    this.of = make("span", { class: "unseen" });
    this.path = make("code");
    this.wrong = make("p", { class: "bad" });
    this.files = make("div", {}, make("p", {}, this.path), this.wrong);
    this.more = make("details", { ontoggle: () => this.look() }, make("summary", {}, "Files", this.of), this.files);
    this.element = make("li", { class: "card" },
      make("div", { class: "row between" }, this.name, this.key), this.facts,
      make("div", { class: "row" }, this.verifying, this.deleting), this.said, this.damage, this.more);
  }

  show(model) {
    const text = JSON.stringify(model);
    if (text === this.text) return;
    this.text = text;
    this.model = model;
    say(this.name, model.display_name);
    say(this.key, model.key);
    say(this.of, ` of ${model.display_name}`);
    this.verifying.button.ariaLabel = `Verify ${model.display_name}`;
    this.deleting.button.ariaLabel = `Delete ${model.display_name}`;
    say(this.facts, facts(model).join(" · "));
    this.look();
  }

  /** What was deleted elsewhere meanwhile is not shown any more. */
  async tell(act) {
    try {
      await act();
    } catch (error) {
      if (error.status !== 404) throw error;
      await load();
      if (cards.has(this.model.key)) throw error;
      announce(`${this.model.display_name} is not here any more.`);
    }
  }

  async look() {
    if (!this.more.open) return;
    try {
      const model = await ask("GET", path(this.model.key));
      this.table ??= this.listed();
      this.table.show(model.files.map((file) => [file.path, size(file.size_bytes), verified(file), file.digest ?? ""]));
      say(this.path, model.path);
      trouble(this.wrong, null);
    } catch (error) {
      trouble(this.wrong, error);
    }
  }

  listed() {
    const table = new Table(`Files of ${this.model.display_name}`, ["File", { n: "Size" }, "State", { code: "Hash" }]);
    this.files.append(table.element);
    return table;
  }

  async verify(repair) {
    this.damage.replaceChildren();
    say(this.said, "Hashing every file: a second for each gigabyte or so …");
    try {
      const answer = ask("POST", path(this.model.key, "/verify"), { repair }, LONG);
      const [found, job] = await Promise.all([answer, repair && shown(answer.then(({ job }) => job))]);
      if (job) this.waits(job.job);
      else this.tellOf(found);
      this.look();
    } catch (error) {
      say(this.said, "");
      throw error;
    }
  }

  tellOf(found) {
    const wrong = found.files.filter((file) => file.verdict !== "whole").map((file) => `${file.path} is ${file.verdict}`);
    say(this.said, found.whole ? "Every byte is as it should be." : `${wrong.join("; ")}.`);
    if (found.whole) return;
    this.damage.replaceChildren(button("Fetch what is damaged", () => {
      this.verifying.button.focus(); // this one goes
      return this.tell(() => this.verify(true));
    }, { "aria-label": `Fetch what is damaged of ${this.model.display_name}` }));
  }

  waits(job) {
    say(this.said, "What is damaged is being fetched again: see Jobs.");
    repairs.set(job.job_id, this);
    if (OVER.includes(job.status)) over(job); // it was told of that before it answered
  }

  mended(whole) {
    say(this.said, whole ? "What was damaged has been fetched again." : "What is damaged could not be fetched: see Jobs.");
    this.look();
  }

  async remove() {
    const model = this.model;
    const what = [`${model.publisher}: ${model.key}`, model.quantization?.name, size(model.size_bytes)].filter(Boolean);
    const text = `${what.join(", ")}. Files that another model needs stay.`;
    if (!await confirmed(`Delete ${model.display_name}?`, text, "Delete it")) return;
    await ask("DELETE", path(model.key));
    await load();
    announce(`${model.display_name} is deleted.`);
  }
}

const verified = (file) => (file.verified ? `verified ${file.verified_at ? clock(file.verified_at) : ""}` : "not verified");

function facts(model) {
  return [model.quantization?.name, model.format?.toUpperCase(), model.params_string,
    model.max_context_length ? `context ${model.max_context_length.toLocaleString()}` : "",
    model.capabilities?.vision ? "vision" : "", model.capabilities?.trained_for_tool_use ? "tools" : "",
    model.type === "embedding" ? "embedding" : "", size(model.size_bytes)].filter(Boolean);
}
