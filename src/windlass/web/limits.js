import { ask } from "./api.js";
import { at, button, form, make, say } from "./dom.js";
import { changes, Field, follow, taken } from "./fields.js";
import { speed } from "./format.js";
import { drop } from "./lists.js";

const PATH = "/api/windlass/v1/limits";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
let windows = 0;

const fields = {
  max_jobs: Field.count("Jobs at once"),
  connections: Field.count("Connections a file"),
  limit_rate: Field.rate("All together, MB/s"),
};
const now = make("p");
const saved = make("p", { class: "good", role: "status" });
const add = button("Add hours", () => {
  say(saved, "");
  hours.list.append(row({ days: DAYS, from: "08:00", to: "18:00", limit_rate: 2e6 }));
});

/** The hours as a whole: they follow the server until a person changes something of them. */
const hours = {
  list: make("div"),
  said: "[]", // what the server said, as JSON
  kept: "[]", // what that looks like here
  get looks() { return JSON.stringify([...this.list.children].map((each) => each.looks())); },
  get touched() { return this.looks !== this.kept; },
  read() { return [...this.list.children].map((each) => each.read()); },
  follow(schedule) {
    const said = JSON.stringify(schedule);
    if (said === this.said || this.touched || this.list.contains(document.activeElement)) return;
    this.list.replaceChildren(...schedule.map(row));
    this.said = said;
    this.kept = this.looks;
  },
  taken(schedule, sent) {
    this.said = JSON.stringify(schedule);
    this.kept = sent;
  },
};

export function start() {
  at("limits").append(form(
    make("div", { class: "row" }, ...Object.values(fields).map((field) => field.element)),
    make("h3", {}, "By the hours of the day"),
    make("p", { class: "quiet" }, "In the server's own time zone. A window may go over midnight; outside of all the limit above holds."),
    hours.list,
    make("div", { class: "row" }, add, button("Save", save, { class: "main", type: "submit" })),
    saved, now));
  at("limits").addEventListener("input", () => say(saved, "")); // what stands there now is not saved
}

export async function load() {
  show(await ask("GET", PATH));
}

function show(limits) {
  follow(fields, limits);
  hours.follow(limits.schedule);
  say(now, `Right now: ${limits.limit_rate_now ? speed(limits.limit_rate_now) : "no limit"}`);
}

/** Only what was changed here is sent: somebody else may have changed the rest. */
async function save() {
  say(saved, "");
  const looked = hours.looks;
  const sent = { ...changes(fields), ...(hours.touched ? { schedule: hours.read() } : {}) };
  const limits = await ask("PUT", PATH, sent);
  taken(fields, sent, limits);
  if (sent.schedule) hours.taken(limits.schedule, looked);
  show(limits);
  say(saved, "Saved.");
}

function row(window) {
  const id = `window-${++windows}`;
  const days = DAYS.map((day) => make("input", { type: "checkbox", id: `${id}-${day}`, checked: window.days.includes(day), value: day }));
  const from = make("input", { type: "time", id: `${id}-from`, value: window.from });
  const to = make("input", { type: "time", id: `${id}-to`, value: window.to });
  const rate = Field.rate("MB/s");
  rate.follow(window.limit_rate);
  const chosen = () => days.filter((box) => box.checked).map((box) => box.value);
  const element = make("div", { class: "card row" },
    make("fieldset", { class: "days" }, make("legend", {}, "Days"),
      ...days.map((box) => make("span", {}, box, " ", make("label", { for: box.id }, box.value)))),
    make("span", { class: "row" }, make("label", { for: from.id }, "from"), from),
    make("span", { class: "row" }, make("label", { for: to.id }, "to"), to),
    rate.element,
    button("Remove", () => drop(element, add.button), { "aria-label": "Remove these hours" }));
  element.looks = () => [chosen(), from.value, to.value, rate.input.value];
  element.read = () => {
    wanted(chosen().length, days[0], "Hours need at least one day.");
    wanted(from.value, from, "from: a time of day is wanted, such as 08:30.");
    wanted(to.value, to, "to: a time of day is wanted, such as 18:00.");
    return { days: chosen(), from: from.value, to: to.value, limit_rate: rate.read() };
  };
  return element;
}

/** Raises an Error for people, and shows them where. */
function wanted(there, input, text) {
  if (there) return;
  input.focus();
  throw new Error(text);
}
