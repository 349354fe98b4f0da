/**
 * The life of the connection: lists that are read, and the stream of what happens to jobs.
 *
 * Lists are read anew from time to time, whatever the stream does: somebody in between may hold it back or cut it off, and
 * what it does not tell of (limits, models) may change elsewhere. Whether the server is there is known by these answers.
 */

import { headers } from "./api.js";

const BEAT = 15_000; // milliseconds: on the stream the server says something at least that often
const SILENCE = 3 * BEAT; // a stream that says nothing for so long is dead
const SOON = 3_000; // between readings while the stream says nothing
const MOST = 30_000; // between tries of a stream that does not last

const visible = () => document.visibilityState === "visible";

export class Link {
  #load; #told; #said;
  #last = ""; // id of the last event
  #stream = null; // its AbortController
  #streams = false; // whether it has said anything
  #missed = true; // whether jobs may have changed untold
  #pause = 0; // before the next try
  #next = 0; // when that is
  #called = false;
  #ring = () => {};

  /**
   * @param {(jobs: boolean) => Promise<void>} load reads the lists; with the jobs or without.
   * @param {(kind: string, data: any) => void} told what happens to jobs.
   * @param {(error: Error | null) => void} said whether the server has answered.
   */
  constructor(load, told, said) {
    this.#load = load;
    this.#told = told;
    this.#said = said;
  }

  /** Read now, and not when it is time. */
  wake() {
    this.#called = true;
    this.#ring();
  }

  /** For ever. A page that nobody sees lets go: a browser has six connections to a server, for all its tabs together. */
  async run() {
    document.addEventListener("visibilitychange", () => {
      if (!visible()) this.#stream?.abort();
      this.wake();
    });
    for (;;) {
      if (visible()) await this.#look();
      await this.#wait(!visible() ? 1e9 : this.#streams ? BEAT : SOON);
    }
  }

  async #look() {
    const jobs = this.#missed || !this.#streams;
    this.#missed = false;
    let wrong = null;
    try {
      await this.#load(jobs);
    } catch (error) {
      wrong = error;
      this.#missed = jobs;
    }
    this.#said(wrong);
    if (wrong?.status !== 0 && wrong?.status !== 401) this.#follow();
  }

  async #wait(milliseconds) {
    if (!this.#called) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.#ring = () => { clearTimeout(timer); resolve(); };
      });
    }
    this.#called = false;
  }

  /** Follow until the stream ends, unless that is done already or did not last a moment ago. */
  async #follow() {
    if (this.#stream || Date.now() < this.#next || !visible()) return;
    const began = Date.now();
    this.#stream = new AbortController();
    await this.#read(this.#stream).catch(() => {}); // what that means for the server, the next reading tells
    const lasted = !visible() || Date.now() - began > BEAT;
    this.#stream = null;
    this.#streams = false;
    this.#pause = lasted ? 0 : Math.min(2 * this.#pause || 1000, MOST);
    this.#next = Date.now() + this.#pause;
    this.wake();
  }

  /** By `fetch` and not `EventSource`, which cannot send a token. */
  async #read(stream) {
    let silence = setTimeout(() => stream.abort(), SILENCE);
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => stream.abort(), SILENCE);
      if (this.#streams) return;
      this.#streams = this.#missed = true; // what happened before this is in the lists
      this.wake();
    };
    try {
      const last = this.#last ? { "Last-Event-ID": this.#last } : {};
      const answer = await fetch("/api/windlass/v1/events", { headers: { ...headers(), ...last }, signal: stream.signal });
      if (!answer.ok) return;
      for await (const event of events(answer.body, heard)) {
        this.#last = event.id ?? this.#last;
        if (event.data) this.#told(event.event, JSON.parse(event.data));
      }
    } finally {
      clearTimeout(silence);
    }
  }
}

/** @param {() => void} heard with each piece that comes, be it only a sign of life. */
async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    text += value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const block of whole) {
      yield Object.fromEntries(block.split("\n").filter((line) => !line.startsWith(":")).map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }));
    }
  }
}
