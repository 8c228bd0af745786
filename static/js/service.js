// The REST service, as the page calls it.

import { authorization } from "./key.js";

// Where the service is, whatever prefix a proxy shows it under: two folders above this script's.
const ROOT = new URL("../../", import.meta.url);

export const address = (path) => new URL(path, ROOT).href;

const MOST_TRIES = 12;
const LONGEST_WAIT = 30;

const WORDS = {
  401: "This server asks for an API key. Enter a valid one above, then try again.",
  413: "The photo is too large for this server.",
  415: "This is not an image that is read here.",
  429: "That was a lot of photos in a short time. Wait a little, then try again.",
  503: "The server is still busy. Try again in a while.",
  504: "The server took too long to answer.",
};

// What went wrong, in words for the person who looks at the page. A passing problem may be gone the next time.
export class Problem extends Error {
  constructor(message, { passing = false } = {}) {
    super(message);
    this.passing = passing;
  }
}

export function predict(photo, model, onWait) {
  return post("api/v1/predict", form({ file: photo, model, top_k: 5 }), onWait);
}

export function explain(photo, model, onWait) {
  return post("api/v1/explain", form({ file: photo, model }), onWait);
}

export function tellRightLabel(photo, model, label, onWait) {
  return post("api/v1/feedback", form({ file: photo, model, label }), onWait);
}

// A JPEG of a photo that the browser cannot decode itself.
export async function preview(photo) {
  const response = await reach("preview", { method: "POST", body: form({ file: photo }) });
  return response.ok ? response.blob() : null;
}

export async function describe(model) {
  return read(await reach(`api/v1/models/${encodeURIComponent(model)}`));
}

function form({ file, ...fields }) {
  const data = new FormData();
  data.set("file", file.blob, file.name);
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  return data;
}

// Sends again by itself while the server is full, after as long as it asks for; `onWait` hears the seconds.
async function post(path, body, onWait = () => {}) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await reach(path, { method: "POST", body });
    const busy = response.status === 503 || response.status === 429;
    if (!busy || attempt === MOST_TRIES) return read(response);
    const asked = Number(response.headers.get("Retry-After")) || 1;
    // Those who were turned away together should not all come back together.
    const seconds = Math.min(asked, LONGEST_WAIT) * (1 + Math.random() / 4);
    onWait(seconds);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

async function reach(path, options = {}) {
  try {
    return await fetch(address(path), { ...options, headers: authorization() });
  } catch {
    throw new Problem("The server cannot be reached. Check the connection, then try again.", { passing: true });
  }
}

async function read(response) {
  const { ok, status } = response;
  const body = await response.json().catch(() => ({}));
  if (ok) return body;
  const words = WORDS[status] ?? `The server answered with an error (${status}).`;
  const detail = status === 401 ? words : (body.detail ?? words);
  throw new Problem(detail, { passing: status === 401 || status === 429 || status >= 500 });
}
