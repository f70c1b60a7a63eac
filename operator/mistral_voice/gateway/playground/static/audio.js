// The microphone and the loudspeaker. The browser cancels the echo of what the page plays.

const RATE = 24000;

export class Microphone {
  constructor(onPiece) {
    this.onPiece = onPiece;
    this.muted = false;
  }

  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    // The rate is the device's: some browsers refuse to connect a microphone to a context of another.
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("capture-worklet.js");
    this.node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.node.port.onmessage = ({ data }) => {
      // A muted microphone sends silence, so that the gateway's clock of the conversation goes on.
      const pcm = this.muted ? new ArrayBuffer(data.pcm.byteLength) : data.pcm;
      this.onPiece(pcm, this.muted ? 0 : data.level);
    };
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    await this.context.resume();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
  }
}

export class Loudspeaker {
  constructor({ onBegin, onLevel, onStopped }) {
    this.onBegin = onBegin;
    this.onLevel = onLevel;
    this.onStopped = onStopped;
  }

  async start() {
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("player-worklet.js");
    this.node = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => {
      if ("begun" in data) this.onBegin(data.begun, this.delayMs());
      else if ("stopped" in data) this.onStopped(data.stopped, data.playedMs);
      else this.onLevel(data.level, data.playing);
    };
    this.node.connect(this.context.destination);
    await this.context.resume();
  }

  delayMs() {
    return ((this.context.baseLatency || 0) + (this.context.outputLatency || 0)) * 1000;
  }

  play(item, pcm) {
    const samples = Float32Array.from(new Int16Array(pcm), (value) => value / 32768);
    this.node.port.postMessage({ item, samples }, [samples.buffer]);
  }

  interrupt() {
    this.node.port.postMessage({ stop: true });
  }

  stop() {
    this.context?.close();
  }
}

export function toBase64(buffer) {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes.buffer;
}
