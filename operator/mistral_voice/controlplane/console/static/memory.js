// What the page remembers while it is open: where somebody is in lists, what they chose in forms, how many sessions there were.

const MOST_SAMPLES = 720;

export class Memory {
  constructor() {
    this.pages = new Map();
    this.forms = new Map();
    this.seen = new Map();
  }

  // The cursors that led to the present page of a table.
  cursors(table) {
    return this.pages.get(table) ?? [];
  }

  cursor(table) {
    return this.cursors(table).at(-1) ?? "";
  }

  next(table, cursor) {
    this.pages.set(table, [...this.cursors(table), cursor]);
  }

  previous(table) {
    this.pages.set(table, this.cursors(table).slice(0, -1));
  }

  atFirstPages() {
    this.pages.clear();
  }

  form(name, standard) {
    return this.forms.get(name) ?? standard;
  }

  sample(plan, value) {
    const samples = this.samples(plan);
    this.seen.set(plan, [...samples.slice(-MOST_SAMPLES + 1), { at: Date.now(), value }]);
  }

  samples(plan) {
    return this.seen.get(plan) ?? [];
  }
}
