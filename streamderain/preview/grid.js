// All cameras at once. A browser keeps six connections to a server, which endless pictures of six cameras would use up;
// so each camera is asked for its newest picture again and again, and only while it has some.

import { ask, pause } from "/ways.js";

const WIDTH = 640;
const BETWEEN_MS = 250;
const AGAIN_MS = 2000;
const grid = document.getElementById("grid");
const query = new URLSearchParams(location.search);

if (query.has("token")) {
  // The cookie has it now; it need not stay in the address bar and the history.
  history.replaceState(null, "", "/grid");
}

class Tile {
  #canvas = document.createElement("canvas");
  #state = document.createElement("span");
  #gone = false;

  constructor(name) {
    this.name = name;
    this.connected = false;
    this.element = document.createElement("a");
    this.element.className = "tile";
    this.element.href = `/#${encodeURIComponent(name)}`;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", `${name}, derained`);
    this.#canvas.hidden = true;
    const caption = document.createElement("span");
    caption.className = "caption";
    caption.textContent = name;
    this.#state.className = "state";
    this.element.append(this.#canvas, caption, this.#state);
    this.#play();
  }

  told(connected) {
    this.connected = connected;
    this.#say(connected ? "good" : "bad", connected ? "live" : "source away");
  }

  remove() {
    this.#gone = true;
    this.element.remove();
  }

  #show(image) {
    this.#canvas.width = image.width;
    this.#canvas.height = image.height;
    this.#canvas.getContext("2d", { alpha: false }).drawImage(image, 0, 0);
    this.#canvas.hidden = false;
    image.close();
  }

  #say(kind, text) {
    this.#state.dataset.kind = kind;
    this.#state.textContent = text;
  }

  async #play() {
    while (!this.#gone) {
      let wait = BETWEEN_MS;
      if (this.connected && !document.hidden) wait = await this.#fetch();
      await pause(wait);
    }
  }

  // The newest picture; how long to wait before the next.
  async #fetch() {
    try {
      const reply = await ask(`/streams/${encodeURIComponent(this.name)}/snapshot.jpg?width=${WIDTH}`);
      this.#show(await createImageBitmap(await reply.blob()));
      return BETWEEN_MS;
    } catch (error) {
      if (error.status) this.#say("bad", error.message);
      return AGAIN_MS;
    }
  }
}

const tiles = new Map();

async function refresh() {
  const state = document.getElementById("state");
  try {
    const streams = await (await ask("/api/streams")).json();
    const names = streams.map((each) => each.name);
    for (const [name, tile] of tiles) {
      if (!names.includes(name)) {
        tile.remove();
        tiles.delete(name);
      }
    }
    for (const { name, connected } of streams) {
      if (!tiles.has(name)) {
        tiles.set(name, new Tile(name));
        grid.append(tiles.get(name).element);
      }
      tiles.get(name).told(connected);
    }
    // As square as it goes, the cameras being wider than high.
    grid.style.setProperty("--columns", String(Math.ceil(Math.sqrt(names.length)) || 1));
    const live = streams.filter((each) => each.connected).length;
    state.dataset.kind = live === names.length && live ? "good" : "bad";
    state.textContent = names.length ? `${live} of ${names.length} live` : "no stream";
  } catch (error) {
    for (const tile of tiles.values()) tile.connected = false;
    state.dataset.kind = "bad";
    state.textContent = error.status === 401 ? "token needed" : error.status ? error.message : "server does not answer";
  }
}

document.getElementById("full").addEventListener("click", () => grid.requestFullscreen());

for (;;) {
  if (!document.hidden) await refresh();
  await pause(1000);
}
