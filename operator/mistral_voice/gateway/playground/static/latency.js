// How long the caller waits: from the last word to each stage of the reply, on the caller's own clock.

const STAGES = [
  ["noticed", "end of turn noticed"],
  ["transcript", "words known"],
  ["token", "first words of the reply"],
  ["audio", "first sound received"],
  ["heard", "first sound heard"],
];
const MOST_TURNS = 12;

export class Latency {
  constructor({ figure, stages, turns }) {
    this.figure = figure;
    this.stages = stages;
    this.turns = turns;
    this.micStart = null;
    this.silenceMs = 0;
    this.reset();
  }

  reset() {
    this.lastWord = null;
    this.marks = {};
  }

  // The gateway counts the input audio's milliseconds: their zero, on our clock, is when the first of them was spoken.
  microphoneStarted(at) {
    this.micStart ??= at;
  }

  typed() {
    this.reset();
    this.lastWord = performance.now();
  }

  turnEnded(audioEndMs) {
    this.reset();
    if (this.micStart === null) return;
    this.lastWord = this.micStart + audioEndMs - this.silenceMs;
    this.mark("noticed");
  }

  mark(stage, delayMs = 0) {
    if (this.lastWord === null || stage in this.marks) return;
    this.marks[stage] = Math.max(0, performance.now() + delayMs - this.lastWord);
    this.show();
    if (stage === "heard") this.remember(this.marks.heard);
  }

  show() {
    const marks = this.marks;
    const whole = Math.max(...Object.values(marks), 1);
    this.figure.value = marks.heard === undefined ? "…" : `${Math.round(marks.heard)} ms`;
    this.stages.replaceChildren(
      ...STAGES.filter(([name]) => name in marks).map(([name, title]) => {
        const row = element("li");
        const bar = element("span", "bar");
        bar.style.width = `${(marks[name] / whole) * 100}%`;
        row.append(element("span", "name", title), element("span", "value", `${Math.round(marks[name])} ms`), bar);
        return row;
      }),
    );
  }

  remember(milliseconds) {
    const turn = element("li");
    turn.title = `${Math.round(milliseconds)} ms`;
    turn.dataset.pace = milliseconds < 900 ? "quick" : milliseconds < 1600 ? "fair" : "slow";
    turn.style.height = `${Math.min(100, 12 + milliseconds / 25)}%`;
    this.turns.append(turn);
    while (this.turns.children.length > MOST_TURNS) this.turns.firstChild.remove();
  }
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
