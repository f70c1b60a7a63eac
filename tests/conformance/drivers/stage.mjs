// What drivers share; see stage.py for the words.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export const url = process.env.MISTRAL_VOICE_URL;
export const token = process.env.MISTRAL_VOICE_TOKEN;

const CHUNK_BYTES = 4800;

export function see(what, details = {}) {
  process.stdout.write(JSON.stringify({ saw: what, ...details }) + '\n');
}

export async function* deeds() {
  for await (const line of createInterface({ input: process.stdin })) {
    const deed = JSON.parse(line);
    if (deed.do === 'leave') break;
    yield deed;
  }
  process.stdin.destroy();
}

export function* chunks(file) {
  const audio = readFileSync(file);
  for (let start = 0; start < audio.length; start += CHUNK_BYTES) {
    const piece = audio.subarray(start, start + CHUNK_BYTES);
    yield piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.byteLength);
  }
}
