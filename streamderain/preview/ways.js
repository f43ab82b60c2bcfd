// The ways a picture comes: WebRTC, or motion JPEG where that brings none.

const SILENT_MS = 4000;
const GATHER_MS = 1000;
const video = document.getElementById("video");

// An answer other than 200: its status, and what the server says.
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  const reply = await fetch(path, { cache: "no-store", ...options });
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({}));
  throw new Refused(reply.status, said.error || `the server answers ${reply.status}`);
}

export function post(path, body, signal) {
  return ask(path, {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// Shows the stream until its connection ends or `signal` aborts; whether a picture came. Gives up when none comes
// while `flowing` says that there are some.
export async function webrtc(stream, signal, flowing, shown) {
  const peer = new RTCPeerConnection({ iceServers: [] });
  let seen = false;
  const frame = () => {
    seen = true;
    shown(video);
    if (!signal.aborted && video.srcObject) whenPainted(frame);
  };
  try {
    const { receiver } = peer.addTransceiver("video", { direction: "recvonly" });
    receiver.jitterBufferTarget = 0; // as late as need be, no later
    peer.addEventListener("track", (event) => {
      video.srcObject = new MediaStream([event.track]);
      video.play().catch(() => {});
      whenPainted(frame);
    });
    await peer.setLocalDescription(await peer.createOffer());
    await Promise.race([gathered(peer), pause(GATHER_MS)]);
    const { sdp, type } = peer.localDescription;
    await peer.setRemoteDescription(await (await post("/offer", { stream, sdp, type }, signal)).json());
    for (let silent = 0; silent < SILENT_MS && !signal.aborted; silent += !seen && flowing() ? 100 : 0) {
      if (["failed", "closed", "disconnected"].includes(peer.connectionState)) break;
      await pause(100);
    }
    return seen;
  } finally {
    peer.close();
    video.srcObject = null;
  }
}

// Shows the stream until it ends or `signal` aborts.
export async function mjpeg(stream, signal, shown) {
  const reply = await ask(`/streams/${encodeURIComponent(stream)}.mjpg`, { signal });
  const reader = reply.body.getReader();
  const parts = new Parts();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parts.push(value);
    let newest = null;
    for (let part = parts.next(); part; part = parts.next()) newest = part;
    if (newest) shown(await createImageBitmap(new Blob([newest], { type: "image/jpeg" })));
  }
}

// The bodies of a multipart answer whose parts say their Content-Length.
class Parts {
  #bytes = new Uint8Array(0);

  push(more) {
    const both = new Uint8Array(this.#bytes.length + more.length);
    both.set(this.#bytes);
    both.set(more, this.#bytes.length);
    this.#bytes = both;
  }

  next() {
    const text = new TextDecoder("latin1").decode(this.#bytes.subarray(0, 512));
    const head = /content-length: *(\d+)[^]*?\r\n\r\n/i.exec(text);
    if (!head) return null;
    const start = head.index + head[0].length;
    const end = start + Number(head[1]);
    if (this.#bytes.length < end) return null;
    const body = this.#bytes.slice(start, end);
    this.#bytes = this.#bytes.slice(end);
    return body;
  }
}

function whenPainted(call) {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(call);
  else setTimeout(() => (video.readyState < 2 && video.srcObject ? whenPainted(call) : call()), 40);
}

function gathered(peer) {
  return new Promise((resolve) => {
    const look = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", look);
    look();
  });
}
