// The page: binds microphone, loudspeaker, connection and what is shown.

import { fromBase64, Loudspeaker, Microphone, toBase64 } from "./audio.js";
import { Latency } from "./latency.js";
import { EventLog } from "./log.js";
import { Orb } from "./orb.js";
import { clientSecret, Connection, Refused } from "./realtime.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);

const transcript = new Transcript($("transcript"), $("hint"));
const latency = new Latency({ figure: $("latency"), stages: $("stages"), turns: $("turns") });
const log = new EventLog($("log"));
const orb = new Orb($("orb"));

// The end is told when the connection closes; a reply may have ended just before it was to be cancelled.
const EXPECTED = new Set(["session_expired", "response_cancel_not_active"]);

const NO_MICROPHONE = {
  NotAllowedError: "This page may not use the microphone: allow it beside the address, and start again",
  NotFoundError: "There is no microphone",
  NotReadableError: "There is no microphone: another program may hold it",
};

let connection = null;
let microphone = null;
let loudspeaker = null;
let session = null;
let holding = false;
let received = { item: null, bytes: 0 };
let reply = null; // the response that is under way
let silenced = null; // one that was interrupted here: what still comes of it is not played

function status(text, state) {
  $("status").textContent = text;
  $("status").dataset.state = state;
}

function activity(text) {
  $("activity").textContent = text || "\u00a0";
}

// Tells whether there is a session in the end: it may close while the browser asks for the microphone.
async function start(token) {
  if (!window.isSecureContext) throw new Refused("Browsers give sound and microphone to pages that come by https, or from localhost, alone: open this one so.");
  const secret = await clientSecret(token);
  loudspeaker = new Loudspeaker({
    onBegin: (_, delayMs) => {
      latency.mark("heard", delayMs);
      document.body.classList.add("speaking");
    },
    onLevel: (level, playing) => {
      orb.set("assistant", level);
      document.body.classList.toggle("speaking", playing);
    },
    onStopped: truncate,
  });
  await loudspeaker.start();
  const opened = new Connection({ onEvent, onSent: (event) => log.add("sent", event), onClose });
  connection = opened;
  transcript.clear();
  await opened.open(secret);
  const asked = new Microphone(onPiece);
  try {
    await asked.start();
    if (connection !== opened) {
      asked.stop();
      return false;
    }
    microphone = asked;
    activity("Listening");
  } catch (error) {
    asked.stop();
    if (connection !== opened) return false;
    transcript.note(`${NO_MICROPHONE[error.name] ?? `There is no microphone (${error.name})`}. You can type, and hear the replies.`);
  }
  return true;
}

function onPiece(pcm, level) {
  latency.microphoneStarted(performance.now() - 40);
  orb.set("caller", level);
  if (session === null || (isManual() && !holding)) return;
  connection.send("input_audio_buffer.append", { audio: toBase64(pcm) });
}

// What was not heard leaves the conversation.
function truncate(item, playedMs) {
  if (item === null || item !== received.item) return;
  if (playedMs < received.bytes / 48) {
    connection.send("conversation.item.truncate", { item_id: item, content_index: 0, audio_end_ms: playedMs });
  }
  received = { item: null, bytes: 0 };
}

// The caller has the word: what is heard stops, and what is under way ends.
function interrupt() {
  loudspeaker.interrupt();
  if (reply === null) return;
  silenced = reply;
  connection.send("response.cancel", { response_id: reply });
}

function isManual() {
  return session?.audio.input.turn_detection === null;
}

function showSession(next) {
  session = next;
  latency.silenceMs = session.audio.input.turn_detection?.silence_duration_ms ?? 0;
  $("fact-model").textContent = session.model;
  $("fact-voice").textContent = session.audio.output.voice;
  $("fact-turns").textContent = isManual() ? "push to talk" : session.audio.input.turn_detection.type.replace("_", " ");
  $("facts").hidden = false;
  $("hold").hidden = !isManual() || microphone === null;
  $("mute").hidden = isManual() || microphone === null;
}

const handlers = {
  "session.created": ({ session: created }) => {
    showSession(created);
    status("Connected", "on");
    connection.send("session.update", { session: { type: "realtime", audio: { input: { transcription: {} } } } });
  },
  "session.updated": ({ session: updated }) => showSession(updated),
  "input_audio_buffer.speech_started": ({ item_id }) => {
    loudspeaker.interrupt();
    transcript.listening(item_id);
    activity("You are speaking");
  },
  "input_audio_buffer.speech_stopped": ({ audio_end_ms }) => {
    latency.turnEnded(audio_end_ms);
    activity("Thinking");
  },
  "conversation.item.input_audio_transcription.delta": ({ item_id, delta }) => transcript.add(item_id, "caller", delta),
  "conversation.item.input_audio_transcription.completed": ({ item_id, transcript: text }) => {
    latency.mark("transcript");
    transcript.set(item_id, "caller", text.trim());
    transcript.settle(item_id);
    if (!text.trim()) activity("Listening");
  },
  "conversation.item.input_audio_transcription.failed": ({ item_id, error }) => {
    transcript.set(item_id, "caller", "(not understood)");
    transcript.note(error.message);
  },
  "response.output_audio_transcript.delta": ({ item_id, delta }) => {
    latency.mark("token");
    transcript.add(item_id, "assistant", delta);
  },
  "response.output_text.delta": ({ item_id, delta }) => transcript.add(item_id, "assistant", delta),
  "response.created": ({ response }) => {
    reply = response.id;
  },
  "response.output_audio.delta": ({ response_id, item_id, delta }) => {
    if (response_id === silenced) return;
    latency.mark("audio");
    activity("Speaking");
    const pcm = fromBase64(delta);
    if (received.item !== item_id) received = { item: item_id, bytes: 0 };
    received.bytes += pcm.byteLength;
    loudspeaker.play(item_id, pcm);
  },
  "response.done": ({ response }) => {
    const interrupted = response.status === "cancelled";
    if (response.id === reply) reply = null;
    for (const item of response.output) transcript.settle(item.id, { interrupted });
    if (response.status === "failed") transcript.note(response.status_details?.error?.message ?? "The reply failed.");
    if (!interrupted) activity("Listening");
  },
  error: ({ error }) => {
    if (!EXPECTED.has(error.code)) transcript.note(error.message);
  },
};

function onEvent(event) {
  log.add("received", event);
  handlers[event.type]?.(event);
}

function onClose(code, reason) {
  const words = {
    1000: "The session has ended.",
    1001: "This gateway is being stopped. Start again to reach another.",
    1006: "The connection broke.",
  };
  leave(words[code] ?? `The session has ended (${code}). ${reason}`);
}

function leave(message) {
  microphone?.stop();
  loudspeaker?.stop();
  connection = microphone = loudspeaker = session = reply = silenced = null;
  holding = false;
  document.body.classList.remove("speaking", "live");
  for (const id of ["mute", "hold", "end", "writing", "facts"]) $(id).hidden = true;
  latency.micStart = null;
  orb.stop();
  activity("");
  status("Not connected", "off");
  transcript.note(message);
  $("hint").hidden = true;
  $("problem").textContent = message;
  // What was said stays to be read: the dialog comes back when it is asked for.
  offerAgain();
}

function offerAgain() {
  $("again").hidden = connection !== null || $("welcome").open;
  if (!$("again").hidden) $("again").focus();
}

function live() {
  document.body.classList.add("live");
  $("writing").hidden = false;
  $("end").hidden = false;
  $("again").hidden = true;
  if (session) showSession(session);
  orb.start();
}

$("connect").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const token = $("token").value.trim();
  $("start").disabled = true;
  $("problem").textContent = "";
  status("Connecting…", "wait");
  try {
    if (!(await start(token))) return;
    $("token").value = "";
    $("welcome").close();
    live();
    $("text").focus();
  } catch (error) {
    loudspeaker?.stop();
    connection = loudspeaker = null;
    status("Not connected", "off");
    $("problem").textContent = error instanceof Refused ? error.message : `That did not work: ${error.message}`;
  } finally {
    $("start").disabled = false;
  }
});

$("welcome").addEventListener("close", offerAgain);
$("again").addEventListener("click", () => {
  $("problem").textContent = "";
  $("again").hidden = true;
  $("welcome").showModal();
});

$("writing").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = $("text").value.trim();
  if (!text || connection === null) return;
  $("text").value = "";
  const id = `typed-${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  interrupt();
  transcript.set(id, "caller", text);
  connection.send("conversation.item.create", { item: { type: "message", id, role: "user", content: [{ type: "input_text", text }] } });
  connection.send("response.create");
  latency.typed();
});

$("mute").addEventListener("click", () => {
  microphone.muted = !microphone.muted;
  $("mute").setAttribute("aria-pressed", microphone.muted);
  $("mute").textContent = microphone.muted ? "Muted" : "Mute";
});

function hold(on) {
  if (on === holding || connection === null) return;
  holding = on;
  $("hold").classList.toggle("held", on);
  if (on) {
    interrupt();
    activity("You are speaking");
  } else {
    connection.send("input_audio_buffer.commit");
    connection.send("response.create");
    latency.typed();
    activity("Thinking");
  }
}

$("hold").addEventListener("pointerdown", () => hold(true));
for (const event of ["pointerup", "pointerleave", "pointercancel", "blur"]) $("hold").addEventListener(event, () => hold(false));
$("hold").addEventListener("keydown", (event) => event.key === " " && (event.preventDefault(), hold(true)));
$("hold").addEventListener("keyup", (event) => event.key === " " && hold(false));
$("end").addEventListener("click", () => connection?.close());
$("clear").addEventListener("click", () => log.clear());

setInterval(() => {
  if (session === null) return;
  const left = Math.max(0, session.expires_at - Date.now() / 1000);
  $("fact-left").textContent = `${Math.floor(left / 60)}:${String(Math.floor(left % 60)).padStart(2, "0")}`;
}, 500);

orb.draw(0);
$("welcome").showModal();
