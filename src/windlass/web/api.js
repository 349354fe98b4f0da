/** The REST API, as everybody has it, and the token that it may ask for. */

import { at, say } from "./dom.js";

const KEY = "windlass-token";
const PATIENCE = 15; // seconds for an answer that needs nobody else; a server that works has it at once
/** Seconds for what the hub is asked about meanwhile. */
export const SLOW = 120;
let asking = null;
let left = false; // the dialog was left: nobody is asked again unasked

export class ApiError extends Error {
  /** @param {number} status 0 for no answer. */
  constructor(status, detail) {
    super(detail?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = detail?.code;
  }
}

const token = () => localStorage.getItem(KEY);

export const headers = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

/**
 * One call; the JSON of a good answer. Asks for the token where one is needed, and then again.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number} [patience] seconds
 */
export async function ask(method, path, body, patience = PATIENCE) {
  const sent = token();
  const { status, ok, json } = await answer(method, path, body, patience);
  if (status === 401) {
    if (sent === token()) await tokenGiven(json?.error); // else another tab was given one meanwhile
    return ask(method, path, body, patience);
  }
  if (!ok || json === null) throw new ApiError(status, json?.error);
  return json;
}

async function answer(method, path, body, patience) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), 1000 * patience);
  try {
    const got = await fetch(path, { method, ...sent, headers: { ...sent.headers, ...headers() }, signal: late.signal });
    return { status: got.status, ok: got.ok, json: read(await got.text()) };
  } catch {
    throw new ApiError(0, { message: "The server does not answer. Is it running?" });
  } finally {
    clearTimeout(timer);
  }
}

/** What is no JSON comes from somebody in between. */
function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Many calls may find at once that a token is needed; one dialog serves them all. Raises ApiError for who leaves it. */
async function tokenGiven(error) {
  if (!left) {
    const why = (error?.message ?? "").replace(error?.hint ?? "", ""); // the hint is for who writes headers
    left = !await asked(token() ? why : "");
    showWay();
  }
  if (left) throw new ApiError(401, { message: "This server asks for a token." });
}

/** Whether one was given: here, or in another tab. */
function asked(why) {
  asking ??= new Promise((resolve) => {
    const dialog = at("token-dialog");
    say(at("line"), "A token is asked for");
    say(at("token-why"), why);
    at("token").value = dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asking = null;
      if (dialog.returnValue === "use") localStorage.setItem(KEY, at("token").value.replace(/[^\x21-\x7e]/g, "")); // pasted text may hide more
      resolve(dialog.returnValue !== "");
    }, { once: true });
  });
  return asking;
}

/** The way to give another token is there for who has given one, and for who has left the dialog. */
const showWay = () => at("give-token").toggleAttribute("hidden", !token() && !left);

/** @param {() => void} given is told when another token may have been given, in whichever tab. */
export function start(given) {
  const anew = () => {
    left = false;
    showWay();
    given();
  };
  at("give-token").addEventListener("click", async () => {
    if (await asked("")) anew();
    else given(); // what is so without it
  });
  at("token-no").addEventListener("click", () => at("token-dialog").close(""));
  addEventListener("storage", ({ key }) => {
    if (key !== KEY) return;
    at("token-dialog").close("elsewhere");
    anew();
  });
  showWay();
}
