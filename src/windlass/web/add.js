/** Adding a model: what a person typed is looked up, planned or searched for, and started. */

import { ask, SLOW } from "./api.js";
import { announce, at, make, trouble } from "./dom.js";
import * as jobs from "./jobs.js";
import { Plan } from "./plan.js";
import { search } from "./search.js";

let turn = 0;

/** What a person typed is a name or a link if it looks like one, else words to search for. */
const isName = (text) => !/\s/.test(text) && text.includes("/");

export function start() {
  at("wish").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = at("name").value.trim();
    if (text) look(() => (isName(text) ? planned(text) : search(text, (model) => look(() => planned(model)))));
    else at("name").focus();
  });
}

const planned = async (model) => (await Plan.of(model, begin)).element;

/** Show what comes of it, unless something else was asked for meanwhile. */
async function look(work) {
  const mine = ++turn;
  announce("Looking …");
  replace(make("p", { class: "quiet", tabindex: "-1" }, "Looking …"));
  let content;
  try {
    content = await work();
  } catch (error) {
    content = make("p", { class: "bad", role: "alert", tabindex: "-1" });
    trouble(content, error);
  }
  if (mine === turn) replace(content);
}

/** Whoever was in what is gone finds himself at the beginning of what is there now. */
function replace(content) {
  const had = at("found").contains(document.activeElement);
  at("found").replaceChildren(content);
  if (had) (content.matches("[tabindex]") ? content : content.querySelector("[tabindex]")).focus();
}

async function begin(label, wanted) {
  const { job_id: id } = await ask("POST", "/api/v1/models/download", wanted, SLOW);
  await jobs.shown(ask("GET", `/api/windlass/v1/jobs/${id}`));
  turn += 1; // what is still looked up comes too late
  replace(make("p", { class: "good", tabindex: "-1" }, `${label} is on its way, or here: see Jobs.`));
}
