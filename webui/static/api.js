// The JSON API, as the signed-in browser calls it.

const BASE = "/api/v1/";

export class Problem extends Error {
  constructor(status, kind, detail) {
    // A name such as chr21 or a.vcf stays as it is at the beginning of a sentence.
    super(detail.replace(/^[a-z]+(?=[ ,])/, (first) => first[0].toUpperCase() + first.slice(1)));
    this.status = status;
    this.kind = kind;
  }
}

async function problemOf(response) {
  try {
    const { kind, detail } = await response.json();
    return new Problem(response.status, kind, detail);
  } catch {
    return new Problem(response.status, "server", `The server answered ${response.status}. Try again in a minute.`);
  }
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch {
    throw new Problem(0, "network", "The server cannot be reached. Check the connection and try again.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export const getJson = async (path) => (await call(path)).json();

export const getText = async (path) => (await call(path)).text();

export async function post(path, body) {
  const headers = {
    "Content-Type": "application/json",
    "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content,
  };
  return (await call(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Calls `step` again and again while the page is looked at, until it returns false. Waits longer after failures. */
export function repeat(step, everyMs) {
  let waitMs = everyMs;
  const again = async () => {
    if (document.hidden) {
      document.addEventListener("visibilitychange", again, { once: true });
      return;
    }
    let more = true;
    try {
      more = await step();
      waitMs = everyMs;
    } catch (error) {
      if (error.status === 401 || error.status === 404) return location.reload();
      waitMs = Math.min(waitMs * 2, 30_000);
    }
    if (more) setTimeout(again, waitMs);
  };
  setTimeout(again, everyMs);
}

/** Puts the part of this very page named by `selector`, as the server renders it now, in place of the one shown. */
export async function refresh(selector) {
  const response = await fetch(location.href, { credentials: "same-origin" });
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector(selector);
  if (!fresh) return location.reload();
  const here = document.importNode(fresh, true);
  document.querySelector(selector).replaceWith(here);
  return here;
}
