/** The REST API, as everybody has it. */

import { at, say } from "./dom.js";

const KEY = "windlass-token";
let asking = null;

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = detail?.code;
  }
}

const headers = () => {
  const token = localStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
};

/**
 * One call; the JSON of a good answer. Asks for the token where one is needed, and then again.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
export async function ask(method, path, body) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(path, { method, ...sent, headers: { ...sent.headers, ...headers() } });
  } catch {
    throw new ApiError(0, { message: "The server does not answer. Is it running?" });
  }
  const json = await answer.json().catch(() => null);
  if (answer.status === 401) {
    await tokenAsked(json?.error);
    return ask(method, path, body);
  }
  if (!answer.ok) throw new ApiError(answer.status, json?.error);
  return json;
}

/** Many calls may find at once that a token is needed; one dialog serves them all. */
function tokenAsked(error) {
  asking ??= new Promise((resolve) => {
    const dialog = at("token-dialog");
    const why = (error?.message ?? "").replace(error?.hint ?? "", ""); // the hint is for who writes headers
    say(at("token-why"), localStorage.getItem(KEY) ? why : "");
    at("token").value = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      localStorage.setItem(KEY, at("token").value.replace(/[^\x21-\x7e]/g, "")); // pasted text may hide more
      asking = null;
      resolve();
    }, { once: true });
  });
  return asking;
}

/**
 * Follow the jobs for ever, over restarts of the server.
 *
 * By `fetch` and not `EventSource`, which cannot send a token.
 * @param {(kind: string, data: any) => void} told
 * @param {(on: boolean) => void} linked whether the server is there.
 */
export async function follow(told, linked) {
  let last = "";
  for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await fetch("/api/windlass/v1/events", { headers: { ...headers(), ...(last ? { "Last-Event-ID": last } : {}) } });
      if (answer.status === 401) {
        await tokenAsked((await answer.json().catch(() => null))?.error);
        continue;
      }
      if (answer.ok) {
        linked(true);
        pause = 250;
        for await (const event of events(answer.body)) {
          last = event.id ?? last;
          if (event.data) told(event.event, JSON.parse(event.data));
        }
      }
    } catch {
      // The server went away, which is said below; it may come back.
    }
    linked(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
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
