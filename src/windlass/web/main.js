/** Puts the page together: what is there now, then what happens. */

import * as add from "./add.js";
import { ask, follow } from "./api.js";
import { at, say } from "./dom.js";
import * as jobs from "./jobs.js";
import * as limits from "./limits.js";
import * as shelf from "./shelf.js";

at("limits-form").addEventListener("submit", (event) => event.preventDefault());

function told(kind, data) {
  if (kind === "removed") jobs.removed(data.job_id);
  else if (jobs.put(data)) shelf.load().catch(() => {});
}

/** After each (re)start of the server everything is read anew. */
async function linked(on) {
  at("line").classList.toggle("off", !on);
  if (!on) {
    say(at("line"), "The server does not answer; trying again …");
    return;
  }
  try {
    const { version } = await ask("GET", "/api/windlass/v1/health");
    say(at("version"), `Windlass ${version}`);
    await Promise.all([jobs.load(), shelf.load(), limits.load()]);
    say(at("line"), "Connected");
  } catch (error) {
    say(at("line"), error.message);
  }
}

add.start();
follow(told, linked);
