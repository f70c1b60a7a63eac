// Figures and times for people. Everything is UTC, as the ledger counts.

const LANGUAGE = "en";
const numbers = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

export const number = (value) => numbers.format(value);
export const percent = (share) => `${share > 0 && share < 0.01 ? "< 1" : Math.floor(share * 100 + 1e-9)} %`;
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function money(microUnits, currency) {
  const value = microUnits / 1e6;
  const digits = value !== 0 && Math.abs(value) < 0.1 ? 4 : 2;
  const options = { minimumFractionDigits: 2, maximumFractionDigits: digits };
  try {
    return new Intl.NumberFormat(LANGUAGE, { style: "currency", currency, ...options }).format(value);
  } catch {
    return `${new Intl.NumberFormat(LANGUAGE, options).format(value)} ${currency}`;
  }
}

export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 60) return `${number(Math.round(seconds))} s`;
  if (seconds < 3600) return `${number(seconds / 60)} min`;
  return `${number(seconds / 3600)} h`;
}

export function clock(at) {
  return new Date(at).toISOString().slice(11, 19);
}

export function moment(at, now = Date.now()) {
  const text = new Date(at).toISOString();
  const day = text.slice(0, 10);
  if (day === new Date(now).toISOString().slice(0, 10)) return text.slice(11, 19);
  return `${Number(day.slice(8))} ${MONTHS[Number(day.slice(5, 7)) - 1].slice(0, 3)} ${text.slice(11, 16)}`;
}

// How long ago, or yet to go, in one unit.
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return plural(Math.floor(seconds / 86_400), "day");
}

export function periodName(period) {
  const [year, month, day] = period.split("-").map(Number);
  const name = MONTHS[month - 1] ?? "";
  return day ? `${day} ${name} ${year}` : `${name} ${year}`;
}

export function periodShort(period) {
  const [year, month, day] = period.split("-").map(Number);
  const name = (MONTHS[month - 1] ?? "").slice(0, 3);
  return day ? `${day} ${name}` : `${name} ${String(year).slice(2)}`;
}

// The share of a period that is over: where use would stand if it were even.
export function periodGone(period, now) {
  const [year, month, day] = period.split("-").map(Number);
  const begin = Date.UTC(year, month - 1, day || 1);
  const end = day ? begin + 86_400_000 : Date.UTC(year, month, 1);
  return Math.min(1, Math.max(0, (now - begin) / (end - begin)));
}
