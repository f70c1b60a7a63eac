// The events of both directions. What comes in streams shares a line until something else happens; audio is shown by its size.

import { element } from "./latency.js";

const MOST_LINES = 300;
const STREAMED = /\.(append|delta)$/;

export class EventLog {
  constructor(list) {
    this.list = list;
    this.start = performance.now();
    this.streams = new Map();
  }

  clear() {
    this.list.replaceChildren();
    this.streams.clear();
  }

  add(direction, event) {
    const last = this.streams.get(event.type);
    if (last !== undefined) {
      last.count++;
      last.badge.textContent = `×${last.count}`;
      last.event = event;
      if (last.details.open) last.body.textContent = shown(event);
      return;
    }
    const follows = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const line = element("li", direction);
    const details = element("details");
    const summary = element("summary");
    const badge = element("span", "count");
    const body = element("pre");
    const seconds = ((performance.now() - this.start) / 1000).toFixed(2);
    summary.append(element("time", "", seconds), element("span", "way", direction === "sent" ? "↑" : "↓"), element("span", "type", event.type), badge);
    details.append(summary, body);
    line.append(details);
    if (event.type === "error") line.classList.add("error");
    const entry = { count: 1, badge, details, body, event };
    details.addEventListener("toggle", () => {
      if (details.open) body.textContent = shown(entry.event);
    });
    if (STREAMED.test(event.type)) this.streams.set(event.type, entry);
    else this.streams.clear();
    this.list.append(line);
    while (this.list.children.length > MOST_LINES) this.list.firstChild.remove();
    if (follows) this.list.scrollTop = this.list.scrollHeight;
  }
}

function shown(event) {
  const isAudio = (key) => key === "audio" || (key === "delta" && event.type === "response.output_audio.delta");
  return JSON.stringify(event, (key, value) => (typeof value === "string" && isAudio(key) ? `${value.length} characters of audio` : value), 2);
}
