// Plays pieces of speech one after the other, and knows how much of each item has been heard.
const REPORT_EVERY = 1200;
const AUDIBLE = 0.003;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = [];
    this.offset = 0;
    this.item = null;
    this.played = 0;
    this.begun = false;
    this.since = 0;
    this.energy = 0;
    this.port.onmessage = ({ data }) => (data.stop ? this.stop() : this.queue.push(data));
  }

  stop() {
    this.port.postMessage({ stopped: this.item, playedMs: this.playedMs() });
    this.queue = [];
    this.offset = 0;
    this.item = null;
  }

  playedMs() {
    return Math.floor((this.played / sampleRate) * 1000);
  }

  next() {
    while (this.queue.length > 0) {
      const { item, samples } = this.queue[0];
      if (item !== this.item) {
        this.item = item;
        this.played = 0;
        this.begun = false;
      }
      if (this.offset < samples.length) {
        this.played++;
        return samples[this.offset++];
      }
      this.queue.shift();
      this.offset = 0;
    }
    return 0;
  }

  process(_, outputs) {
    const output = outputs[0][0];
    for (let index = 0; index < output.length; index++) {
      const value = this.next();
      output[index] = value;
      this.energy += value * value;
      if (!this.begun && Math.abs(value) > AUDIBLE) {
        this.begun = true;
        this.port.postMessage({ begun: this.item });
      }
    }
    for (let channel = 1; channel < outputs[0].length; channel++) outputs[0][channel].set(output);
    this.since += output.length;
    if (this.since >= REPORT_EVERY) {
      this.port.postMessage({ level: Math.sqrt(this.energy / this.since), playing: this.queue.length > 0 });
      this.since = 0;
      this.energy = 0;
    }
    return true;
  }
}

registerProcessor("player", Player);
