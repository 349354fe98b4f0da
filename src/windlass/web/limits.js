import { ask } from "./api.js";
import { at, button, make, say } from "./dom.js";
import { speed } from "./format.js";

const PATH = "/api/windlass/v1/limits";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
let windows = 0;

const megabytes = (rate) => (rate ? rate / 1e6 : "");
const rate = (input) => (Number(input.value) > 0 ? Math.round(Number(input.value) * 1e6) : null);

function field(id, text, value, more = {}) {
  const input = make("input", { id, type: "number", min: 1, step: 1, value, ...more });
  return { input, element: make("span", { class: "row" }, make("label", { for: id }, text), input) };
}

export async function load() {
  const limits = await ask("GET", PATH);
  if (!at("limits-form").contains(document.activeElement)) show(limits); // else it would vanish under someone's hands
}

function show(limits) {
  const jobs = field("max-jobs", "Jobs at once", limits.max_jobs);
  const connections = field("connections", "Connections a file", limits.connections);
  const all = field("rate", "All together, MB/s", megabytes(limits.limit_rate), { min: 0, step: "any", placeholder: "no limit" });
  const rows = make("div", {}, ...limits.schedule.map(row));
  const now = make("p", { role: "status" }, limits.limit_rate_now ? `Right now: ${speed(limits.limit_rate_now)}` : "Right now: no limit");
  const save = button("Save", async () => {
    const kept = await ask("PUT", PATH, {
      max_jobs: Number(jobs.input.value), connections: Number(connections.input.value), limit_rate: rate(all.input),
      schedule: [...rows.children].map((each) => each.read()),
    });
    say(now, `Saved. Right now: ${kept.limit_rate_now ? speed(kept.limit_rate_now) : "no limit"}`);
  }, { class: "main" });
  at("limits-form").replaceChildren(
    make("div", { class: "row" }, jobs.element, connections.element, all.element),
    make("h3", {}, "By the hours of the day"),
    make("p", { class: "quiet" }, "In the server's own time zone. A window may go over midnight; outside of all the limit above holds."),
    rows,
    make("div", { class: "row" }, button("Add hours", () => rows.append(row({ days: DAYS, from: "08:00", to: "18:00", limit_rate: 2e6 }))), save),
    now);
}

function row(window) {
  const id = `window-${++windows}`;
  const days = DAYS.map((day) => make("input", { type: "checkbox", id: `${id}-${day}`, checked: window.days.includes(day), value: day }));
  const from = make("input", { type: "time", id: `${id}-from`, value: window.from, required: true });
  const to = make("input", { type: "time", id: `${id}-to`, value: window.to, required: true });
  const limit = make("input", { type: "number", id: `${id}-rate`, min: 0, step: "any", placeholder: "no limit", value: megabytes(window.limit_rate) });
  const element = make("div", { class: "card row" },
    make("fieldset", { class: "days" }, make("legend", {}, "Days"),
      ...days.map((box) => make("span", {}, box, " ", make("label", { for: box.id }, box.value)))),
    make("span", { class: "row" }, make("label", { for: from.id }, "from"), from),
    make("span", { class: "row" }, make("label", { for: to.id }, "to"), to),
    make("span", { class: "row" }, make("label", { for: limit.id }, "MB/s"), limit),
    button("Remove", () => element.remove(), { "aria-label": "Remove these hours" }));
  element.read = () => ({ days: days.filter((box) => box.checked).map((box) => box.value), from: from.value, to: to.value, limit_rate: rate(limit) });
  return element;
}
