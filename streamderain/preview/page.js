import * as stage from "/stage.js";
import { ask, mjpeg, pause, post, webrtc } from "/ways.js";
import { size, span } from "/words.js";

const HIDDEN_MS = 10000;
const MOST_EVENTS = 30;
const RECORDINGS_EVERY = 20; // seconds
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

if (query.has("token")) {
  // The cookie has it now; it need not stay in the address bar and the history.
  query.delete("token");
  history.replaceState(null, "", `/${String(query) && `?${query}`}${location.hash}`);
}

let stream = null; // the name of the one that is watched
let numbers = null; // its newest ones, null while the server does not answer
let happened = ""; // what its events were when they were asked for last
let ticks = 0; // since the stream was chosen
let turn = new AbortController(); // ends the playing of a stream

// ---- the picture

async function play(name) {
  stop();
  const { signal } = (turn = new AbortController());
  let fallback = query.get("mjpeg") === "1" || !window.RTCPeerConnection;
  while (!signal.aborted) {
    let reason = "";
    try {
      const shown = (image) => !signal.aborted && picture(image, fallback ? "MJPEG" : "WebRTC");
      if (fallback) await mjpeg(name, signal, shown);
      else fallback = !(await webrtc(name, signal, () => numbers?.fps_out !== 0, shown));
    } catch (error) {
      reason = error.status ? error.message : "";
      if ([400, 501].includes(error.status)) fallback = true;
      else if (!error.status && !fallback && numbers && !signal.aborted) fallback = true;
    }
    if (signal.aborted) return;
    stage.release();
    notice(reason || "Connecting again");
    await pause(1000);
  }
}

function stop() {
  turn.abort();
  stage.release();
  $("way").textContent = "";
}

function picture(image, way) {
  stage.show(image);
  notice("");
  $("way").textContent = way;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// ---- the numbers

async function refresh() {
  try {
    await list();
    if (stream === null) return state("wait", "no stream");
    const now = await (await ask(`/api/streams/${encodeURIComponent(stream)}`)).json();
    if (now.name !== stream) return undefined; // another was chosen meanwhile
    numbers = now.numbers;
    tell(now);
    // Something has happened since it was asked last, or this is another stream.
    const mark = JSON.stringify([stream, now.numbers.events, now.numbers.outputs, now.numbers.failure].map(steady));
    if (mark !== happened) await happenings();
    happened = mark;
    if (ticks++ % RECORDINGS_EVERY === 0) await recordings();
  } catch (error) {
    numbers = null;
    state("bad", error.status === 401 ? "token needed" : error.status ? error.message : "server does not answer");
  }
  return undefined;
}

async function list() {
  const streams = await (await ask("/api/streams")).json();
  const names = streams.map((each) => each.name);
  if (names.join("\n") !== [...$("picker").options].map((each) => each.value).join("\n")) {
    $("picker").replaceChildren(...names.map((name) => new Option(name, name)));
  }
  $("picker").hidden = names.length < 2;
  $("all").hidden = names.length < 2;
  $("only").hidden = names.length !== 1;
  $("only").textContent = names[0] ?? "";
  if (!names.includes(stream)) choose(names.includes(wanted()) ? wanted() : (names[0] ?? null));
}

function wanted() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function choose(name) {
  stream = name;
  numbers = null;
  ticks = 0;
  for (const dial of dials) dial.forget();
  if (name === null) {
    stop();
    return notice("No stream is running");
  }
  $("picker").value = name;
  document.title = `${name} · streamderain`;
  notice("Waiting for the first picture");
  play(name);
  return undefined;
}

function tell({ numbers: now, settings, may_change: mayChange }) {
  const text = (id, value, digits = 0) => {
    $(id).textContent = Number.isFinite(value) ? value.toFixed(digits) : "–";
  };
  state(now.connected ? "good" : "bad", now.connected ? "live" : "source away");
  const age = now.age > 2 ? `last frame ${span(now.age)} ago` : "";
  $("why").textContent = [now.connected ? "" : now.reason, age].filter(Boolean).join("; ");
  $("outputs").replaceChildren(...(now.outputs ?? []).map((each) => line(each.name, each.state, each.reason)));
  $("outputs").hidden = !now.outputs?.length;
  $("size").textContent = now.size ? now.size.replace("x", " × ") : "–";
  text("fps_in", now.fps_in, 1);
  text("fps_out", now.fps_out, 1);
  for (const each of ["p50", "p95", "p99"]) text(each, now.latency_ms?.[each]);
  const lost = Object.entries(now.dropped ?? {}).filter(([, count]) => count > 0);
  text("dropped", lost.reduce((sum, [, count]) => sum + count, 0));
  const reasons = lost.map(([reason, count]) => [reason.replaceAll("_", " "), count]);
  $("reasons").textContent = reasons.map(([reason, count]) => (lost.length > 1 ? `${count} ${reason}` : reason)).join(", ");
  const effort = { half: "too slow: derained at half size", none: "too slow: not derained" }[now.effort];
  const held = now.held_fps ? `holding ${now.held_fps.toFixed(1)}` : "";
  $("held").textContent = [effort, held].filter(Boolean).join(", ");
  text("reconnects", now.reconnects);
  text("rain", 100 * (now.rain_level ?? NaN), 2);
  $("dry").textContent = now.dry ? "dry" : { true: "raining", false: "no rain" }[now.raining] ?? "";
  for (const dial of dials) dial.told(settings[dial.name], mayChange !== false);
}

async function happenings() {
  const events = await (await ask(`/api/streams/${encodeURIComponent(stream)}/events`)).json();
  $("events").replaceChildren(...events.slice(-MOST_EVENTS).reverse().map(event));
  $("events").parentElement.hidden = !events.length;
}

async function recordings() {
  const path = `streams/${encodeURIComponent(stream)}/recordings`;
  const files = await (await ask(`/api/${path}`)).json();
  $("recordings").replaceChildren(...files.map((file) => recording(path, file)));
  $("recordings").parentElement.hidden = !files.length;
}

function recording(path, { name, bytes, at }) {
  const told = document.createElement("li");
  const when = document.createElement("time");
  when.textContent = new Date(at * 1000).toLocaleString();
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name.slice(name.indexOf("/") + 1);
  button.addEventListener("click", () => watch(button.textContent, `/${path}/${name.split("/").map(encodeURIComponent).join("/")}`));
  told.append(when, button, size(bytes));
  return told;
}

function watch(name, url) {
  const [player, film, complaint] = [$("player"), $("player").querySelector("video"), $("player").querySelector("p")];
  player.querySelector("b").textContent = name;
  complaint.hidden = true;
  complaint.querySelector("a").href = url;
  film.onerror = () => (complaint.hidden = !film.hasAttribute("src"));
  film.src = url;
  player.showModal();
}

function event({ at, kind, subject, reason, times }) {
  const told = document.createElement("li");
  const when = document.createElement("time");
  when.dateTime = new Date(at * 1000).toISOString();
  when.textContent = new Date(at * 1000).toLocaleString();
  const often = times > 1 ? `${times} times` : "";
  told.append(when, [`${subject} ${kind}`, reason, often].filter(Boolean).join(", "));
  return told;
}

// What of a value changes only when something happens: not how many packets an output has written.
function steady(value) {
  return Array.isArray(value) ? value.map(({ name, state, reason, reopened }) => [name, state, reason, reopened]) : value;
}

function line(name, state, reason) {
  const told = document.createElement("li");
  told.dataset.kind = { open: "good", waiting: "wait" }[state] ?? "bad";
  told.textContent = [name, [state, reason].filter(Boolean).join(": ")].join(" · ");
  return told;
}

function state(kind, text) {
  $("state").dataset.kind = kind;
  $("state").textContent = text;
}

// ---- the dials

class Dial {
  #input;
  #sending = false;
  #known = false;
  #touched = -Infinity; // when it was last turned here; what the server says just after may be older

  constructor(name) {
    this.name = name;
    this.#input = $(name);
    this.#input.addEventListener("input", () => this.#turned());
  }

  forget() {
    this.#known = false;
    this.#touched = -Infinity;
    this.#input.disabled = true;
  }

  told(value, mayTurn) {
    if (this.#sending || performance.now() - this.#touched < 1500) return;
    this.#known = Number.isFinite(value);
    this.#input.disabled = !this.#known || !mayTurn;
    if (Number.isFinite(value)) this.#input.value = String(value);
    this.#label();
  }

  #label() {
    const value = Number(this.#input.value);
    $(`${this.name}-value`).textContent = !this.#known ? "–" : `${Math.round(value * 100)}%`;
    this.#input.style.setProperty("--fill", `${value * 100}%`);
  }

  // One request at a time; when it is answered, the newest value follows.
  async #turned() {
    this.#touched = performance.now();
    this.#label();
    if (this.#sending) return;
    this.#sending = true;
    let complaint = "";
    for (let sent = null; sent !== this.#input.value && !complaint; ) {
      sent = this.#input.value;
      await post(`/api/streams/${encodeURIComponent(stream)}/settings`, { [this.name]: Number(sent) }).catch((error) => {
        complaint = error.status ? error.message : "the server does not answer";
      });
    }
    this.#sending = false;
    if (complaint) this.#touched = -Infinity; // back to what holds
    $("complaint").textContent = complaint;
    $("complaint").hidden = !complaint;
  }
}

const dials = [new Dial("strength"), new Dial("blend")];

// ---- the page

$("picker").addEventListener("change", () => {
  history.replaceState(null, "", `#${encodeURIComponent($("picker").value)}`);
  choose($("picker").value);
});

// A press on it moves no divider.
$("full").addEventListener("pointerdown", (event) => event.stopPropagation());
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen();
});

$("player").addEventListener("close", () => {
  const film = $("player").querySelector("video");
  film.removeAttribute("src");
  film.load(); // lets go of the connection
});

let leaving = 0;
document.addEventListener("visibilitychange", () => {
  // Nobody looks: the pictures need not be made.
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(stop, HIDDEN_MS);
  else if (turn.signal.aborted && stream !== null) play(stream);
});
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => event.persisted && stream !== null && play(stream));

for (;;) {
  if (!document.hidden) await refresh();
  await pause(1000);
}
