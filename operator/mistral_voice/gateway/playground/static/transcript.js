// What was said, by whom, as it becomes known.

import { element } from "./latency.js";

export class Transcript {
  constructor(list, hint) {
    this.list = list;
    this.hint = hint;
    this.lines = new Map();
  }

  clear() {
    this.list.replaceChildren();
    this.lines.clear();
    this.hint.hidden = false;
  }

  line(id, who) {
    let line = this.lines.get(id);
    if (line === undefined) {
      line = element("li", who);
      line.append(element("span", "who", who === "caller" ? "You" : "Assistant"), element("p"));
      this.lines.set(id, line);
      this.list.append(line);
      this.hint.hidden = true;
    }
    this.list.scrollTop = this.list.scrollHeight;
    return line;
  }

  listening(id) {
    this.line(id, "caller").classList.add("pending");
  }

  add(id, who, text) {
    const line = this.line(id, who);
    line.lastChild.textContent += text;
    this.list.scrollTop = this.list.scrollHeight;
  }

  set(id, who, text) {
    const line = this.line(id, who);
    line.classList.remove("pending");
    line.lastChild.textContent = text;
  }

  settle(id, { interrupted = false, failed = "" } = {}) {
    const line = this.lines.get(id);
    if (line === undefined) return;
    line.classList.remove("pending");
    line.classList.toggle("interrupted", interrupted);
    if (failed) line.append(element("em", "", failed));
    if (!line.lastChild.textContent) {
      line.remove();
      this.lines.delete(id);
    }
  }

  note(text) {
    const line = element("li", "note", text);
    this.list.append(line);
    this.list.scrollTop = this.list.scrollHeight;
  }
}
