// The Realtime protocol as a browser speaks it: a client secret, then one WebSocket.

export class Refused extends Error {}

// The token goes into this one request and is kept nowhere.
export async function clientSecret(token) {
  if (token.startsWith("ek_")) return token;
  let answer;
  try {
    answer = await fetch("../v1/realtime/client_secrets", {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify({ expires_after: { anchor: "created_at", seconds: 600 }, session: { type: "realtime" } }),
    });
  } catch {
    throw new Refused("The gateway can't be reached.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Refused("The gateway doesn't know this token.");
  if (!answer.ok) throw new Refused(body.error?.message ?? `The gateway answered ${answer.status}.`);
  return body.value;
}

// A browser hides the answer to a refused handshake. The gateway answers a plain request for the same address alike.
async function whyRefused(socketUrl, secret) {
  const unknown = "The gateway let nobody in, or something on the way to it takes no WebSocket.";
  const url = new URL(socketUrl);
  url.protocol = url.protocol.replace("ws", "http");
  try {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${secret}` } });
    if (answer.status === 426) return unknown;
    return (await answer.json()).error.message;
  } catch {
    return unknown;
  }
}

export class Connection {
  constructor({ onEvent, onSent, onClose }) {
    this.onEvent = onEvent;
    this.onSent = onSent;
    this.onClose = onClose;
  }

  open(secret) {
    const url = new URL("../v1/realtime", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${secret}`]);
      this.socket = socket;
      let opened = false;
      socket.onopen = () => {
        opened = true;
        resolve();
      };
      socket.onmessage = ({ data }) => this.onEvent(JSON.parse(data), data.length);
      socket.onclose = ({ code, reason }) => {
        if (opened) this.onClose(code, reason);
        else whyRefused(url, secret).then((words) => reject(new Refused(words)));
      };
    });
  }

  send(type, fields = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const event = { type, ...fields };
    this.socket.send(JSON.stringify(event));
    this.onSent(event);
  }

  close() {
    this.socket?.close(1000);
  }
}
