// Asks the control plane. What a token may not see, and what isn't there, is an answer too: a sentence. All else is a failure of the whole page.

const DEADLINE_MS = 10_000;
const KINDS = { 400: "unusable", 401: "token", 403: "denied", 404: "missing" };

export class Failure extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

export async function fetched(path, token, signal) {
  let answer;
  let body;
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const signals = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
    answer = await fetch(`../api/v1${path}`, { headers, signal: signals, cache: "no-store", credentials: "omit", redirect: "error" });
    body = await answer.json();
  } catch {
    signal.throwIfAborted();
    throw new Failure("unreachable", answer === undefined ? "The control plane can't be reached." : "The control plane's answer can't be read.");
  }
  if (answer.ok) return body;
  throw new Failure(KINDS[answer.status] ?? "unavailable", String(body.detail ?? `The control plane answers ${answer.status}.`));
}

// Returns `ask(path)`, which resolves to `{ value }`, or to `{ failure }` where only this one thing can't be told.
export function asking(token, signal) {
  return async (path) => {
    try {
      return { value: await fetched(path, token, signal) };
    } catch (failure) {
      if (["denied", "missing", "unusable"].includes(failure.kind)) return { failure };
      throw failure;
    }
  };
}

export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
