/** Puts the page together: what is there now, then what happens. */

import * as add from "./add.js";
import * as api from "./api.js";
import { answers, at, say } from "./dom.js";
import * as jobs from "./jobs.js";
import * as limits from "./limits.js";
import { Link } from "./link.js";
import * as shelf from "./shelf.js";

let connected = false;

async function load(all) {
  const version = at("version").textContent ? null : api.ask("GET", "/api/windlass/v1/health");
  await Promise.all([version, all && jobs.load(), shelf.load(), limits.load()]);
  if (version) say(at("version"), `Windlass ${(await version).version}`);
}

function told(kind, data) {
  if (kind === "removed") jobs.removed(data.job_id);
  else jobs.put(data);
}

function said(error) {
  connected = error === null;
  at("line").classList.toggle("off", !connected);
  if (connected) answers();
  say(at("line"), connected ? "Connected" : error.status ? error.message : "The server does not answer; trying again …");
}

add.start();
limits.start();
jobs.start((job) => {
  shelf.load().catch(() => {}); // it is read anew soon in any case
  shelf.over(job);
});
setInterval(() => connected && jobs.tick(), 1000);
const link = new Link(load, told, said);
api.start(() => link.wake());
link.run();
