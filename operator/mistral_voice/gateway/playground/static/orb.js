// Two voices as two waves: the caller's below, the assistant's above.

const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Orb {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.levels = { caller: 0, assistant: 0 };
    this.shown = { caller: 0, assistant: 0 };
    this.running = false;
  }

  set(who, level) {
    this.levels[who] = Math.min(1, level * 5);
  }

  start() {
    if (this.running) return;
    this.running = true;
    const frame = (now) => {
      if (!this.running) return;
      this.draw(now / 1000);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  stop() {
    this.running = false;
    this.levels = { caller: 0, assistant: 0 };
    this.shown = { caller: 0, assistant: 0 };
    this.draw(0);
  }

  draw(time) {
    const { canvas, context } = this;
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const voices = [
      ["caller", style.getPropertyValue("--caller"), 0],
      ["assistant", style.getPropertyValue("--accent"), 2],
    ];
    for (const [who, colour, shift] of voices) {
      const target = this.levels[who];
      this.shown[who] += (target - this.shown[who]) * (target > this.shown[who] ? 0.5 : 0.12);
      this.wave(colour, this.shown[who], CALM.matches ? 0 : time * (who === "caller" ? 2.1 : 1.6) + shift);
    }
  }

  wave(colour, level, phase) {
    const { width, height } = this.canvas;
    const { context } = this;
    for (let layer = 0; layer < 3; layer++) {
      context.beginPath();
      context.lineWidth = layer === 0 ? 4 : 2;
      context.globalAlpha = [0.95, 0.45, 0.2][layer];
      context.strokeStyle = colour;
      const height0 = (4 + level * height * 0.42) * (1 - layer * 0.28);
      for (let x = 0; x <= width; x += 4) {
        const place = x / width;
        const bell = Math.sin(Math.PI * place) ** 3;
        const y = height / 2 + Math.sin(place * (9 + layer * 3) + phase + layer * 0.9) * height0 * bell;
        if (x === 0) context.moveTo(x, y);
        else context.lineTo(x, y);
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}
