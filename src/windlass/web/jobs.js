import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { at, button, confirmed, make, say, table } from "./dom.js";
import { clock, left, size, speed } from "./format.js";

const MOST = 1000; // jobs that are shown, the newest
const cards = new Map();
const ORDER = { downloading: 0, paused: 2, failed: 3, completed: 4 };
const place = (job) => (job.phase === "queued" ? 1 : ORDER[job.status]); // what moves comes first
const VERBS = {
  downloading: ["pause", "cancel"],
  paused: ["resume", "cancel"],
  failed: ["resume", "forget"],
  completed: ["forget"],
};

const act = (id, verb) => ask("POST", `/api/windlass/v1/jobs/${id}/${verb}`, {});
const change = (id, changes) => ask("PATCH", `/api/windlass/v1/jobs/${id}`, changes);

/** One job, as a card that is changed in place: what has the focus keeps it. */
class Card {
  constructor(job) {
    this.name = make("h3");
    this.id = make("code");
    this.state = make("strong");
    this.bar = make("progress", { max: 1 });
    this.numbers = make("p", { class: "numbers" });
    this.trouble = make("p", { class: "bad" });
    this.chart = new Chart();
    this.buttons = make("div", { class: "row" });
    this.files = make("div");
    this.more = make("details", { ontoggle: () => this.look() }, make("summary", {}, "Details"), this.settings(job), this.files);
    this.element = make("li", { class: "card", "data-job": job.job_id },
      make("div", { class: "row between" }, this.name, this.state), make("small", {}, this.id),
      this.bar, this.numbers, this.chart.element, this.trouble, this.buttons, this.more);
    this.show(job);
  }

  show(job) {
    const before = this.job;
    this.job = job;
    const model = job.items.at(-1);
    const label = [model.display_name, model.quantization?.name].filter(Boolean).join(" · ");
    say(this.name, label);
    say(this.id, model.id);
    this.bar.setAttribute("aria-label", `${label}: how much is here`);
    say(this.state, job.status === "downloading" ? job.phase : job.status);
    this.bar.value = job.total_size_bytes ? job.downloaded_bytes / job.total_size_bytes : 0;
    say(this.numbers, numbers(job));
    say(this.trouble, job.error_message ?? "");
    this.chart.element.toggleAttribute("hidden", job.status !== "downloading" || job.phase === "queued");
    this.chart.add(job.bytes_per_second ?? 0);
    if (before?.status !== job.status) this.offer(job);
    if (this.more.open) this.look();
  }

  /** The buttons that make sense now. Whoever pressed one that is gone finds himself on the next. */
  offer(job) {
    const had = this.buttons.contains(document.activeElement);
    const made = VERBS[job.status].map((verb) => button(verb[0].toUpperCase() + verb.slice(1), () => this.tell(verb),
      { "aria-label": `${verb} ${this.name.textContent}`, class: verb === "cancel" ? "danger" : "" }));
    this.buttons.replaceChildren(...made);
    if (had) made[0].button.focus();
  }

  async tell(verb) {
    const { job_id: id, downloaded_bytes: here } = this.job;
    if (verb === "forget") {
      await ask("DELETE", `/api/windlass/v1/jobs/${id}`);
      removed(id);
      return;
    }
    if (verb === "cancel") {
      const text = here ? `${size(here)} that have come are thrown away.` : "Nothing has come yet.";
      if (!await confirmed(`Cancel ${this.name.textContent}?`, text, "Cancel it")) return;
    }
    put(await act(id, verb));
  }

  settings(job) {
    const id = job.job_id;
    const priority = make("input", { type: "number", id: `priority-${id}`, value: job.priority, step: 1 });
    const limit = make("input", { type: "number", id: `limit-${id}`, min: 0, step: "any", placeholder: "none",
      value: job.limit_rate ? job.limit_rate / 1e6 : "" });
    const set = () => change(id, {
      priority: Number.parseInt(priority.value || "0", 10),
      limit_rate: Number(limit.value) > 0 ? Math.round(Number(limit.value) * 1e6) : null,
    }).then(put);
    return make("div", { class: "row" },
      make("label", { for: priority.id }, "Priority"), priority,
      make("label", { for: limit.id }, "Limit, MB/s"), limit, button("Set", set));
  }

  /** Once a second at most; what is asked for within that second, such as how it has ended, is looked at after it. */
  async look() {
    this.again = this.looking;
    if (!this.more.open || this.looking) return;
    this.looking = true;
    try {
      const job = await ask("GET", `/api/windlass/v1/jobs/${this.job.job_id}`);
      const rows = job.files.map((file) => [file.path, { n: size(file.size_bytes) }, { n: share(file.downloaded_bytes, file.size_bytes) },
        { n: share(file.verified_bytes, file.size_bytes) }, { n: String(file.connections ?? 0) }, { n: String(file.retries ?? 0) }]);
      const log = job.log.slice(-12).map((line) => make("li", {}, make("small", {}, `${clock(line.at)} ${line.text}`)));
      this.files.replaceChildren(
        make("p", {}, make("small", {}, job.why)),
        make("p", {}, make("small", {}, "From ", make("code", {}, job.source), job.path ? " to " : "", make("code", {}, job.path ?? ""))),
        table(["File", { n: "Size" }, { n: "Here" }, { n: "Hashed" }, { n: "Connections" }, { n: "Retries" }], rows),
        ...connections(job.files),
        make("ul", {}, ...log));
    } catch (error) {
      this.files.replaceChildren(make("p", { class: "bad" }, error.message));
    } finally {
      setTimeout(() => {
        this.looking = false;
        if (this.again) this.look();
      }, 1000);
    }
  }
}

/** What each connection is at, file by file. */
function connections(files) {
  const rows = files.flatMap((file) => (file.segments ?? []).map((segment) => [
    file.path.split("/").at(-1), { n: size(segment.position) }, { n: size(segment.end) }, { n: speed(segment.bytes_per_second) }]));
  return rows.length ? [make("h4", {}, "Connections"), table(["File", { n: "Stands at" }, { n: "Goes to" }, { n: "Speed" }], rows)] : [];
}

const share = (part, whole) => (part === undefined ? "–" : whole ? `${Math.floor(100 * part / whole)} %` : "100 %");

function numbers(job) {
  const parts = [`${size(job.downloaded_bytes)} of ${size(job.total_size_bytes)}`];
  if (job.bytes_per_second) parts.push(speed(job.bytes_per_second));
  if (job.estimated_completion) parts.push(`${left(job.estimated_completion)} left`);
  if (job.completed_at) parts.push(`done ${clock(job.completed_at)}`);
  return parts.join(" · ");
}

/** Show a job, new or not; whether it has just been completed. */
export function put(job) {
  const card = cards.get(job.job_id);
  const before = card?.job;
  if (card) card.show(job);
  else cards.set(job.job_id, new Card(job));
  if (!before || place(before) !== place(job)) arrange();
  return job.status === "completed" && before?.status !== "completed";
}

export function removed(id) {
  cards.get(id)?.element.remove();
  cards.delete(id);
  at("no-jobs").hidden = cards.size > 0;
}

/** What goes on first, the newest first among equals. Cards are moved only where they must be: moving drops the focus. */
function arrange() {
  const list = at("job-list");
  const sorted = [...cards.values()].sort((a, b) => place(a.job) - place(b.job)
    || b.job.started_at.localeCompare(a.job.started_at));
  sorted.forEach((card, index) => {
    if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
  });
  at("no-jobs").hidden = cards.size > 0;
}

/** The jobs as they are, from the start: what is not among them is gone. */
export async function load() {
  const before = [...cards.keys()]; // what the events tell of meanwhile is there, too
  const found = [];
  for (let cursor = ""; cursor !== undefined && found.length < MOST;) {
    const page = await ask("GET", `/api/windlass/v1/jobs?limit=200${cursor ? `&cursor=${cursor}` : ""}`);
    found.push(...page.jobs);
    cursor = page.next_cursor;
  }
  const here = new Set(found.map((job) => job.job_id));
  for (const id of before) if (!here.has(id)) removed(id);
  found.forEach(put);
  arrange();
}
