import { Card, fate, nature } from "/clips.js";
import { Films } from "/films.js";
import { forget, look, mix, twice } from "/looks.js";
import * as stage from "/stage.js";
import { ask, pause, post } from "/ways.js";
import { size, span } from "/words.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 1000;

if (new URLSearchParams(location.search).has("token")) {
  // The cookie has it now; it need not stay in the address bar and the history.
  history.replaceState(null, "", `/${location.hash}`);
}

let now = { clips: [], line: [], folder: "", room: 0, since: null, busy: false, ending: false };
let chosen = null; // the id of the clip on the stage
let moment = null; // of its frames, the one that is shown
let touched = -Infinity; // when the strength was last turned here; what the server says just after may be older
let adjusting = false;
let watching = null; // the result that is played, by its path
const cards = new Map();
const sending = new Set();

// ---- the state, which is the server's

async function refresh() {
  try {
    const told = await (await ask("/api/clips")).json();
    // Another program of ours, with clips of its own.
    if (now.since && told.since !== now.since) return location.reload();
    now = told;
    tell();
  } catch (error) {
    if (now.ending && !error.status) return end();
    state("bad", error.status === 401 ? "token needed" : error.status ? error.message : "server does not answer");
  }
  return undefined;
}

// Asks for something to be done, and shows what came of it; false, with why not, when it was refused.
async function order(path, body = {}, method = "POST") {
  try {
    await (method === "POST" ? post(path, body) : ask(path, { method }));
    complain("");
  } catch (error) {
    if (error.status !== 404) complain(error.status ? error.message : "the server does not answer");
    return false;
  } finally {
    await refresh();
  }
  return true;
}

function clip() {
  return now.clips.find((each) => each.id === chosen);
}

function tell() {
  const ids = now.clips.map((each) => each.id);
  for (const [id, card] of cards) {
    if (ids.includes(id)) continue;
    card.element.remove();
    cards.delete(id);
  }
  for (const each of now.clips) {
    if (!cards.has(each.id)) {
      cards.set(each.id, new Card(each.name, () => choose(each.id), () => remove(each.id)));
      $("clips").append(cards.get(each.id).element);
    }
    cards.get(each.id).tell(each, now.line.indexOf(each.id));
  }
  document.body.classList.toggle("empty", !ids.length);
  $("all").hidden = now.clips.filter(isFree).length < 2;
  if (!ids.includes(chosen)) choose(ids.at(-1) ?? null);
  else show();
  sum();
}

function isFree({ state: how }) {
  return how === "ready" || how === "stopped" || how === "failed";
}

function sum() {
  const runs = now.clips.find((each) => each.progress);
  const { frames, expected } = runs?.progress ?? {};
  document.title = `${expected ? `${Math.floor((100 * frames) / expected)}% · ` : ""}Files · streamderain`;
  if (now.ending) return state("wait", "ending after this frame");
  if (now.loading) return state("wait", "loading the network");
  if (!now.busy) return state("good", "ready");
  const waiting = now.line.length ? `, ${now.line.length} in line` : "";
  return state("good", `deraining${waiting}`);
}

function state(kind, text) {
  $("state").dataset.kind = kind;
  // What is said again is read out again.
  if ($("state").textContent !== text) $("state").textContent = text;
}

function complain(text, where = "complaint") {
  $(where).textContent = text;
  $(where).hidden = !text;
}

// ---- the clip on the stage

function choose(id) {
  if (id === chosen) return show();
  stopWatching();
  forget();
  [chosen, moment, touched] = [id, null, -Infinity];
  complain("");
  stage.release();
  for (const [each, card] of cards) card.choose(each === id);
  return show();
}

function show() {
  const here = clip();
  if (!here) return;
  cards.get(here.id).choose(true);
  const { state: how, result } = here;
  const works = ["waiting", "running", "stopping"].includes(how);
  $("derain").hidden = works;
  $("derain").textContent = how === "ready" ? "Derain" : "Derain again";
  $("derain").classList.toggle("main", !result);
  $("stop").hidden = !works;
  $("stop").disabled = how === "stopping";
  $("save").hidden = $("films").hidden = !result;
  if (result) {
    $("save").href = `/clips/${here.id}/derained?save=1`;
    $("save").download = result.name;
  }
  $("takes").textContent = works ? fate(here, now.line.indexOf(here.id)) : here.takes && !result ? `about ${span(here.takes)} for all of it` : "";
  const lost = result?.lost.length ? ` · ${result.lost.join("; ")}` : "";
  $("where").textContent = result ? `${result.path} · ${size(result.bytes)}${lost}` : here.said;
  $("where").hidden = !$("where").textContent;
  if (watching && watching !== result?.path) stopWatching();
  turn(here);
  if (!watching) showFrames(here);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// ---- its frames

function showFrames(here) {
  const { shown, moments, is_shown: isAll, unshown } = here;
  if (moment === null && shown.length) {
    moment = shown[0];
    $("place").value = "0";
  }
  const place = Math.max(0, shown.indexOf(moment));
  $("place").disabled = shown.length < 2;
  Object.assign($("place"), { min: "0", max: String(Math.max(1, shown.length - 1)), step: "1", value: String(place) });
  $("place").setAttribute("aria-label", "Frame");
  $("place").setAttribute("aria-valuetext", shown.length ? clock(moments[moment]) : "none yet");
  fill($("place"));
  $("time").textContent = shown.length ? `${place + 1} of ${shown.length}${isAll ? "" : "…"} · ${clock(moments[moment])}` : "–";
  if (shown.length) notice("");
  else notice(isAll ? unshown : "Deraining a few frames");
  draw(here);
}

async function draw(here) {
  const strength = Number($("strength").value);
  try {
    if (moment !== null) {
      const picture = await look(here.id, moment);
      if (picture && here.id === chosen && !watching) stage.show(mix(picture, strength));
    } else {
      const thumb = cards.get(here.id).element.querySelector("img");
      if (thumb?.complete && thumb.naturalWidth) stage.show(twice(thumb));
    }
  } catch (error) {
    if (error.status !== 404) state("bad", error.status ? error.message : "server does not answer");
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = `${String(whole % 60).padStart(2, "0")}.${Math.floor((seconds % 1) * 10)}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function fill(input) {
  const [low, high] = [Number(input.min), Number(input.max)];
  input.style.setProperty("--fill", `${(100 * (Number(input.value) - low)) / (high - low || 1)}%`);
}

$("place").addEventListener("input", () => {
  const here = clip();
  if (watching) films.seek(Number($("place").value));
  else if (here) {
    moment = here.shown[Number($("place").value)] ?? null;
    showFrames(here);
  }
});

// ---- the strength

function turn(here) {
  const input = $("strength");
  const isOurs = adjusting || performance.now() - touched < 1500;
  input.disabled = watching !== null;
  if (watching) input.value = String(here.result?.strength ?? 1);
  else if (!isOurs) input.value = String(here.strength);
  $("strength-value").textContent = `${Math.round(Number(input.value) * 100)}%`;
  $("strength-hint").textContent = watching ? "What this film was made at" : "How much of the rain is taken away";
  fill(input);
}

$("strength").addEventListener("input", async () => {
  touched = performance.now();
  const here = clip();
  if (!here) return;
  turn(here);
  draw(here);
  if (adjusting) return;
  adjusting = true;
  // One request at a time; when it is answered, the newest value follows.
  for (let sent = null; sent !== $("strength").value && here.id === chosen; ) {
    sent = $("strength").value;
    if (!(await order(`/api/clips/${here.id}/strength`, { strength: Number(sent) }))) break;
  }
  adjusting = false;
});

// ---- its films

const films = new Films($("rainy"), $("clean"), (canvas) => watching && stage.show(canvas), tellFilm, (which) => {
  const cannot = { rainy: "This browser cannot play the original; the derained film alone", clean: "This browser cannot play it; save it for a player that can" };
  notice(cannot[which]);
  $("stage").classList.toggle("alone", which === "rainy");
});

function tellFilm() {
  if (!watching) return;
  const place = $("place");
  Object.assign(place, { min: "0", max: String(films.length || 1), step: "0.01", value: String(films.place) });
  place.disabled = !films.length;
  place.setAttribute("aria-label", "Time");
  place.setAttribute("aria-valuetext", `${clock(films.place)} of ${clock(films.length)}`);
  fill(place);
  $("time").textContent = `${clock(films.place)} / ${clock(films.length)}`;
  const word = films.isPlaying ? "Pause" : "Play";
  $("play").setAttribute("aria-label", word);
  $("play").title = word;
  $("play").toggleAttribute("data-playing", films.isPlaying);
}

function watch() {
  const here = clip();
  if (!here?.result) return;
  watching = here.result.path;
  notice("");
  $("play").hidden = false;
  $("films").setAttribute("aria-pressed", "true");
  $("films").textContent = "Back to the frames";
  // Another film may have been at this address.
  films.open(`/clips/${here.id}/rainy`, `/clips/${here.id}/derained?${encodeURIComponent(here.result.name)}`);
  turn(here);
  tellFilm();
  films.toggle();
}

function stopWatching() {
  if (!watching) return;
  watching = null;
  films.close();
  $("stage").classList.remove("alone");
  $("play").hidden = true;
  $("films").setAttribute("aria-pressed", "false");
  $("films").textContent = "Watch";
  $("place").value = "0";
  notice("");
}

$("play").addEventListener("click", () => films.toggle());
$("films").addEventListener("click", () => {
  if (watching) {
    stopWatching();
    show();
  } else watch();
});

// ---- what is done with it

$("derain").addEventListener("click", () => order(`/api/clips/${chosen}/derain`));
$("stop").addEventListener("click", () => order(`/api/clips/${chosen}/stop`));
$("all").addEventListener("click", async () => {
  for (const each of now.clips.filter(isFree)) await order(`/api/clips/${each.id}/derain`);
});

async function remove(id) {
  const here = now.clips.find((each) => each.id === id);
  const works = here && ["waiting", "running", "stopping"].includes(here.state);
  if (works && !(await sure(`${here.name} is being derained, or waits for it. Stop and remove it?`, "Remove"))) return;
  await order(`/api/clips/${id}`, null, "DELETE");
}

// Whether the user says so.
function sure(question, yes) {
  const dialog = $("question");
  dialog.querySelector("p").textContent = question;
  dialog.querySelector("[value=yes]").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// ---- files on their way here

function send(file, card) {
  const request = new XMLHttpRequest(); // fetch tells nothing of how far a body is
  const bytes = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", ({ loaded }) => card.sending(loaded / (file.size || 1), file.size));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve(JSON.parse(request.responseText).id);
      let said = `the server answers ${request.status}`;
      try {
        said = JSON.parse(request.responseText).error;
      } catch {
        // Something else has answered.
      }
      return reject(new Error(said));
    });
    request.addEventListener("error", () => reject(new Error("the connection broke; send it again")));
    request.addEventListener("abort", () => resolve(null));
  });
  request.open("POST", `/api/clips?name=${encodeURIComponent(file.name)}`);
  request.send(file);
  return { request, bytes };
}

// One after the other: each comes the sooner.
let last = Promise.resolve();

function take(files) {
  complain("", "refusal");
  for (const file of files) {
    let isWanted = true;
    let request = null;
    const card = new Card(file.name, () => {}, () => {
      isWanted = false;
      request?.abort();
      card.element.remove();
      sending.delete(card);
    });
    card.sending(0, file.size);
    sending.add(card);
    $("clips").append(card.element);
    last = last.then(async () => {
      if (!isWanted) return;
      try {
        if (file.size > now.room) throw new Error(`the disk has room for ${size(now.room)} more`);
        const begun = send(file, card);
        ({ request } = begun);
        const id = await begun.bytes;
        if (id !== null) await refresh();
        if (id !== null && cards.has(id)) choose(id);
      } catch (error) {
        const said = [$("refusal").textContent, error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`];
        complain(said.filter(Boolean).join("\n"), "refusal");
      } finally {
        card.element.remove();
        sending.delete(card);
      }
    });
  }
}

$("chosen").addEventListener("change", () => {
  take([...$("chosen").files]);
  $("chosen").value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take([...event.dataTransfer.files]);
});
addEventListener("beforeunload", (event) => {
  if (sending.size) event.preventDefault();
});

// ---- the end

$("quit").addEventListener("click", async () => {
  const works = now.busy && "A clip is being derained. What is made of it so far is kept. Quit all the same?";
  const sends = sending.size && "A clip is still on its way here. Quit all the same?";
  if ((works || sends) && !(await sure(works || sends, "Quit"))) return;
  if (await order("/api/quit", { even_if_busy: Boolean(works) })) now.ending = true;
});

function end() {
  stopWatching();
  $("ended").hidden = false;
  $("ended").querySelector("p").textContent = `What was derained is in ${now.folder}. This page can be closed.`;
  for (const part of document.querySelectorAll("header, main")) part.hidden = true;
  document.title = "streamderain has ended";
  hasEnded = true;
}

// A press on it moves no divider.
$("full").addEventListener("pointerdown", (event) => event.stopPropagation());
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen();
});

let hasEnded = false;
while (!hasEnded) {
  await refresh();
  await pause(EVERY_MS);
}
