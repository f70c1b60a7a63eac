// The microphone's samples, at whatever rate it has, as PCM16 at 24 kHz in pieces of 40 ms.
const RATE = 24000;
const PIECE = RATE / 25;
const PHASES = 256;

class Resampler {
  // A windowed sinc: anti-aliased, since a microphone at 48 kHz hears what 24 kHz can't hold.
  constructor(from, to) {
    this.step = from / to;
    const cutoff = Math.min(1, to / from) * 0.95;
    this.half = Math.ceil(12 / cutoff);
    this.taps = 2 * this.half;
    this.kernels = [];
    for (let phase = 0; phase <= PHASES; phase++) {
      const kernel = new Float32Array(this.taps);
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap++) {
        const x = tap - this.half + 1 - phase / PHASES;
        const angle = Math.PI * x * cutoff;
        const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.half + 1));
        kernel[tap] = (Math.abs(x) < 1e-9 ? 1 : Math.sin(angle) / angle) * window;
        sum += kernel[tap];
      }
      this.kernels.push(kernel.map((value) => value / sum));
    }
    this.input = new Float32Array(this.taps);
    this.position = 0;
  }

  push(samples, emit) {
    const input = new Float32Array(this.input.length + samples.length);
    input.set(this.input);
    input.set(samples, this.input.length);
    let position = this.position;
    while (position + this.taps < input.length) {
      const start = Math.floor(position);
      const kernel = this.kernels[Math.round((position - start) * PHASES)];
      let value = 0;
      for (let tap = 0; tap < this.taps; tap++) value += kernel[tap] * input[start + tap];
      emit(value);
      position += this.step;
    }
    const used = Math.floor(position);
    this.input = input.slice(used);
    this.position = position - used;
  }
}

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.energy = 0;
  }

  take(value) {
    const bounded = Math.max(-1, Math.min(1, value));
    this.energy += bounded * bounded;
    this.piece[this.filled++] = bounded * 32767;
    if (this.filled === PIECE) {
      const pcm = this.piece.slice().buffer;
      this.port.postMessage({ pcm, level: Math.sqrt(this.energy / PIECE) }, [pcm]);
      this.filled = 0;
      this.energy = 0;
    }
  }

  process(inputs) {
    const channels = inputs[0];
    if (channels.length === 0) return true;
    const samples = channels[0];
    if (this.resampler) this.resampler.push(samples, (value) => this.take(value));
    else for (const value of samples) this.take(value);
    return true;
  }
}

registerProcessor("capture", Capture);
