import { ask, SLOW } from "./api.js";
import { Chart } from "./chart.js";
import { announce, button, confirmed, form, make, say } from "./dom.js";
import { Details } from "./details.js";
import { changes, Field, follow, taken } from "./fields.js";
import { clock, size, span, speed } from "./format.js";

const VERBS = {
  downloading: { pause: "Pause", cancel: "Cancel" },
  paused: { resume: "Resume", cancel: "Cancel" },
  failed: { resume: "Resume", forget: "Forget" },
  cancelled: { again: "Download again", forget: "Forget" },
  completed: { forget: "Forget" },
};
const path = (id, verb = "") => `/api/windlass/v1/jobs/${id}${verb}`;

/** Cancelled is `failed` for LM Studio's clients; what can be done then differs. */
const stateOf = (job) => (job.error_code === "cancelled" ? "cancelled" : job.status);

/** One job, as a card that is changed in place: what has the focus keeps it. */
export class Card {
  /** @param {object} list has `shown`, for a job that comes as an answer, and `removed`. */
  constructor(job, list) {
    this.list = list;
    this.label = labelOf(job);
    this.name = make("h3");
    this.id = make("code");
    this.state = make("strong");
    this.bar = make("progress", { max: 1, "aria-label": `${this.label}: how much is here` });
    this.numbers = make("p", { class: "numbers" });
    this.trouble = make("p", { class: "bad" });
    this.chart = new Chart();
    this.buttons = make("div", { class: "row" });
    this.fields = { priority: Field.priority("Priority", `of ${this.label}`), limit_rate: Field.rate("Limit, MB/s", `of ${this.label}`) };
    this.settings = form(make("div", { class: "row" }, ...Object.values(this.fields).map((field) => field.element),
      button("Set", () => this.set(), { type: "submit", "aria-label": `Set priority and limit of ${this.label}` })));
    this.details = new Details(this.label);
    this.more = make("details", { ontoggle: () => this.look() },
      make("summary", {}, "Details", make("span", { class: "unseen" }, ` of ${this.label}`)), this.settings, this.details.element);
    this.element = make("li", { class: "card", "data-job": job.job_id },
      make("div", { class: "row between" }, this.name, this.state), make("small", {}, this.id),
      this.bar, this.numbers, this.chart.element, this.trouble, this.buttons, this.more);
    this.show(job);
  }

  /** What it is at, in a word. */
  get word() {
    const state = stateOf(this.job);
    return state === "downloading" ? this.job.phase : state;
  }

  show(job) {
    const before = this.job && stateOf(this.job);
    this.job = job;
    const state = stateOf(job);
    say(this.name, this.label);
    say(this.id, job.items.at(-1).id);
    say(this.state, this.word);
    this.bar.value = job.total_size_bytes ? job.downloaded_bytes / job.total_size_bytes : 0;
    this.bar.hidden = state === "cancelled"; // what had come is thrown away
    say(this.numbers, state === "cancelled" ? "" : numbers(job));
    say(this.trouble, job.error_message ?? "");
    this.chart.element.hidden = !this.moves;
    follow(this.fields, job);
    this.settings.hidden = ["completed", "cancelled"].includes(state);
    if (before !== state) this.offer(state);
    if (this.more.open) this.look();
  }

  get moves() {
    return this.job.status === "downloading" && this.job.phase !== "queued";
  }

  /** A second has gone by: nothing may have been told, and that is a speed too. */
  tick() {
    if (this.moves) this.chart.add(this.job.bytes_per_second ?? 0);
  }

  /** The buttons that make sense now. Whoever pressed one that is gone finds himself on the next. */
  offer(state) {
    const had = this.buttons.contains(document.activeElement);
    const made = Object.entries(VERBS[state]).map(([verb, text]) => button(text, () => this.tell(verb),
      { "aria-label": `${text} ${this.label}`, class: verb === "cancel" ? "danger" : "" }));
    this.buttons.replaceChildren(...made);
    if (had) this.focus();
  }

  focus() {
    this.buttons.querySelector("button").focus();
  }

  async tell(verb) {
    const { job_id: id, downloaded_bytes: here } = this.job;
    if (verb === "again") return this.again();
    if (verb === "forget") {
      await ask("DELETE", path(id));
      return this.list.removed(id);
    }
    if (verb === "cancel") {
      const text = here ? `${size(here)} that have come are thrown away.` : "Nothing has come yet.";
      if (!await confirmed(`Cancel ${this.label}?`, text, "Cancel it")) return;
    }
    await this.list.shown(ask("POST", path(id, `/${verb}`), {}));
  }

  /** A cancelled job cannot go on: the model is asked for again, and that is another job. */
  async again() {
    const model = this.job.items.at(-1);
    const wanted = { model: model.url ?? model.id, ...(model.quantization ? { quantization: model.quantization.name } : {}) };
    const { job_id: id } = await ask("POST", "/api/v1/models/download", wanted, SLOW);
    (await this.list.shown(ask("GET", path(id)))).focus();
    announce(`${this.label} is on its way.`);
  }

  /** Only what was changed here is sent: somebody else may have changed the rest. */
  async set() {
    const sent = changes(this.fields);
    const answer = ask("PATCH", path(this.job.job_id), sent);
    await this.list.shown(answer);
    taken(this.fields, sent, await answer);
    announce("Saved.");
  }

  /** Once a second at most; what is asked for within that second, such as how it has ended, is looked at after it. */
  async look() {
    this.later = this.looking;
    if (!this.more.open || this.looking) return;
    this.looking = true;
    try {
      this.details.show(await ask("GET", path(this.job.job_id)));
    } catch (error) {
      this.details.fail(error);
    } finally {
      setTimeout(() => {
        this.looking = false;
        if (this.later) this.look();
      }, 1000);
    }
  }
}

function labelOf(job) {
  const model = job.items.at(-1);
  return [model.display_name, model.quantization?.name].filter(Boolean).join(" · ");
}

function numbers(job) {
  const parts = [`${size(job.downloaded_bytes)} of ${size(job.total_size_bytes)}`];
  if (job.bytes_per_second) {
    // Not by the time at which it will be done, which is the server's: the clock here may be another.
    const left = (job.total_size_bytes - job.downloaded_bytes) / job.bytes_per_second;
    parts.push(speed(job.bytes_per_second), `${span(left)} left`);
  }
  if (job.completed_at) parts.push(`done ${clock(job.completed_at)}`);
  return parts.join(" · ");
}
