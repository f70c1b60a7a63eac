// The token lies in this tab's memory and its sessionStorage, which ends with the tab; it is never part of an address.

const KEY = "mistral-voice-console-token";
export const AUDIENCE = "mistral-voice-control-plane";

export const kept = () => sessionStorage.getItem(KEY) ?? "";
export const keep = (token) => sessionStorage.setItem(KEY, token);
export const forget = () => sessionStorage.removeItem(KEY);

// What a token says of itself: only to tell people of it. Whether it is good the control plane decides.
export function claims(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const read = JSON.parse(text);
    return { expiresAt: Number.isFinite(read.exp) ? read.exp * 1000 : null, audiences: [read.aud ?? []].flat().map(String) };
  } catch {
    return { expiresAt: null, audiences: [] };
  }
}

// Why the control plane may not take a token, as far as the token itself shows.
export function reason(token, now) {
  const { expiresAt, audiences } = claims(token);
  if (expiresAt !== null && expiresAt <= now) return `This token expired at ${new Date(expiresAt).toISOString().slice(0, 16).replace("T", " ")} UTC. Make a new one.`;
  if (audiences.length && !audiences.includes(AUDIENCE)) {
    return `This token is for ${audiences.join(", ").slice(0, 200)}. Make one with --audience ${AUDIENCE}.`;
  }
  return "";
}
