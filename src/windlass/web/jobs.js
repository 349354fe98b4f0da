/** The list of jobs: which there are, in which order, and what is newer where two say something of one job. */

import { ask } from "./api.js";
import { Card } from "./card.js";
import { announce, at } from "./dom.js";
import { arrange, drop } from "./lists.js";

export const OVER = ["completed", "failed"];
const MOST = 1000; // jobs that are shown, the newest
const ORDER = { downloading: 0, paused: 2, failed: 3, completed: 4 };
const cards = new Map();
const gone = new Map(); // when it was heard that a job is gone, by id
let moment = 0; // counts what is heard of jobs
let over = () => {};

/** @param {(job: object) => void} told of each job that is over since this page is open. */
export function start(told) {
  over = told;
}

/** Show a job as it is now. */
export function put(job) {
  heard(job, moment, true);
  settle();
}

/**
 * Show the job of an answer, unless something newer has been heard of it since it was asked for; its card.
 * @param {Promise<object | undefined>} answer
 */
export async function shown(answer) {
  const since = moment;
  const job = await answer;
  if (!job) return undefined;
  heard(job, since, true);
  settle();
  return cards.get(job.job_id);
}

/** What stands in an answer is as old as its question: `since`. What is new here need not be news. */
function heard(job, since, news) {
  const id = job.job_id;
  const card = cards.get(id);
  if ((card?.heard ?? gone.get(id) ?? 0) > since) return;
  const before = card?.job.status;
  if (card) card.show(job);
  else cards.set(id, new Card(job, { shown, removed }));
  cards.get(id).heard = ++moment;
  if (before === job.status || !OVER.includes(job.status)) return;
  if (before) announce(`${cards.get(id).label}: ${cards.get(id).word}`);
  if (before || news) over(job);
}

export function removed(id) {
  gone.set(id, ++moment);
  const card = cards.get(id);
  cards.delete(id);
  if (card) drop(card.element, at("jobs-title"));
  at("no-jobs").hidden = cards.size > 0;
}

/** A second has gone by. */
export function tick() {
  for (const card of cards.values()) card.tick();
}

const place = (job) => (job.phase === "queued" && job.status === "downloading" ? 1 : ORDER[job.status]);

/** What moves comes first, then the queue as the server goes through it; of the others the newest first. */
function compare({ job: a }, { job: b }) {
  const age = a.started_at < b.started_at ? -1 : Number(a.started_at > b.started_at);
  return place(a) - place(b) || (place(a) > 1 ? -age : b.priority - a.priority || age);
}

/** Cards are moved only where one is out of its place. */
function settle() {
  const sorted = [...cards.values()].sort(compare).map((card) => card.element);
  const list = at("job-list").children;
  if (sorted.some((each, index) => list[index] !== each)) arrange(at("job-list"), sorted, at("jobs-title"));
  at("no-jobs").hidden = cards.size > 0;
}

/** The jobs as they are, from the start: what is not among them is gone. */
export async function load() {
  const since = moment;
  const found = [];
  let cursor = "";
  while (cursor !== undefined && found.length < MOST) {
    const page = await ask("GET", `/api/windlass/v1/jobs?limit=200${cursor ? `&cursor=${cursor}` : ""}`);
    found.push(...page.jobs);
    cursor = page.next_cursor;
  }
  const here = new Set(found.map((job) => job.job_id));
  if (cursor === undefined) for (const [id, card] of cards) if (!here.has(id) && card.heard <= since) removed(id);
  found.forEach((job) => heard(job, since, false));
  settle();
}
