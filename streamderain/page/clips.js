// The shelf: a card for each clip, and for each that is on its way here.

import { size, span } from "/words.js";

const PRECISE_SECONDS = 10;
const STEADY_FRAMES = 10; // the first ones come together

function made(name, className = "", text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

export class Card {
  #told = made("small");
  #kind = made("small");
  #bar = made("progress");
  #image = made("img");
  element = made("li", "clip");
  pick = made("button", "pick");

  // `picked` and `removed` are called when its buttons are pressed.
  constructor(name, picked, removed) {
    this.pick.type = "button";
    this.#image.alt = "";
    this.#image.hidden = true;
    const about = made("span");
    const title = made("b", "", name);
    title.title = name;
    about.append(title, this.#kind, this.#told);
    const blank = made("i");
    this.pick.append(blank, about);
    this.#image.addEventListener("load", () => {
      this.#image.hidden = false;
      blank.replaceWith(this.#image);
    });
    this.pick.addEventListener("click", picked);
    this.#bar.max = 1;
    this.#bar.setAttribute("aria-label", `Progress of ${name}`);
    const away = made("button", "away");
    away.type = "button";
    away.title = "Remove";
    away.setAttribute("aria-label", `Remove ${name}`);
    away.addEventListener("click", removed);
    this.element.append(this.pick, this.#bar, away);
    this.#progress(null);
  }

  choose(isChosen) {
    this.element.classList.toggle("chosen", isChosen);
    this.pick.setAttribute("aria-pressed", String(isChosen));
  }

  sending(part, bytes) {
    this.#kind.textContent = size(bytes);
    this.#told.textContent = part < 1 ? `sending, ${Math.floor(part * 100)}%` : "looking at it";
    this.#progress(part < 1 ? part : undefined);
    this.pick.disabled = true;
  }

  tell(clip, place) {
    this.#kind.textContent = nature(clip);
    this.#told.textContent = fate(clip, place);
    this.element.dataset.kind = { done: "good", failed: "bad" }[clip.state] ?? "wait";
    const { progress } = clip;
    if (["running", "stopping"].includes(clip.state)) this.#progress(progress?.expected ? progress.frames / progress.expected : undefined);
    else this.#progress(null);
    const thumb = `/clips/${clip.id}/thumb.jpg?${Number(clip.shown.length > 0)}`;
    if (this.#image.getAttribute("src") !== thumb) this.#image.src = thumb;
  }

  // null for none, undefined for one that is not known.
  #progress(part) {
    this.#bar.hidden = part === null;
    if (part === undefined || part === null) this.#bar.removeAttribute("value");
    else this.#bar.value = Math.min(1, part);
  }
}

export function nature({ size: pixels, fps, seconds }) {
  const rate = fps ? `${Number(fps.toFixed(2))} fps` : "";
  const lasts = seconds ? (seconds < PRECISE_SECONDS ? `${seconds.toFixed(1)} s` : span(seconds)) : "";
  return [pixels.replace("x", " × "), rate, lasts].filter(Boolean).join(" · ");
}

// What becomes of a clip, in words.
export function fate({ state, said, progress, result }, place) {
  if (state === "waiting") return place ? `${place + 1}. in line` : "next in line";
  if (state === "done") return `derained at ${Math.round((result?.strength ?? 1) * 100)}%${result ? `, ${size(result.bytes)}` : "; moved away"}`;
  if (state === "failed" || state === "stopped") return said || state;
  if (state === "stopping") return "stopping after this frame";
  if (state === "running") return progress ? pace(progress) : "getting ready";
  return "not derained yet";
}

function pace({ frames, expected, fps, left }) {
  if (expected && frames >= expected) return "checking what was written";
  const of = expected ? `${Math.floor((100 * frames) / expected)}%` : `${frames} frames`;
  if (frames < STEADY_FRAMES) return of;
  const speed = fps ? `${fps < 10 ? fps.toFixed(1) : Math.round(fps)} fps` : "";
  return [of, speed, left ? `${span(left)} left` : ""].filter(Boolean).join(" · ");
}
