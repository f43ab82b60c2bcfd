// The rainy and the derained film played in step. Each gives its pictures when its decoder has them; of both, the
// latest few are kept with their times, and those of one moment are shown together. The derained one leads, and has
// the sound.

const KEPT = 6;
const SAME = 0.002; // seconds; the derained film has the times of the rainy one
const JUMP = 0.3;

// Frames that know nothing of a rotation lie on their side.
const HAS_FRAMES = "VideoFrame" in window && "rotation" in VideoFrame.prototype;

const double = document.createElement("canvas");
const context = double.getContext("2d", { alpha: false });

export class Films {
  #rainy;
  #clean;
  #shown;
  #held = new Map(); // of each film: [{ time, picture }], oldest first
  #isAlone = false;
  #haveMet = false; // a picture of each had the same time, so they are counted alike

  // `shown` is given a double-wide canvas, `told` is called when playing, place or length may have changed, and
  // `failed` with which of them cannot be played here.
  constructor(rainy, clean, shown, told, failed) {
    [this.#rainy, this.#clean, this.#shown] = [rainy, clean, shown];
    for (const film of [rainy, clean]) {
      this.#held.set(film, []);
      film.addEventListener("error", () => film.hasAttribute("src") && this.#fail(film, failed));
      // Of a film whose pictures it cannot decode a browser plays the sound.
      film.addEventListener("loadedmetadata", () => film.videoWidth || this.#fail(film, failed));
      this.#listen(film);
    }
    for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata", "seeked"]) {
      clean.addEventListener(event, () => told());
    }
    clean.addEventListener("pause", () => this.#halt());
    clean.addEventListener("ended", () => rainy.pause());
    clean.addEventListener("waiting", () => rainy.pause());
    clean.addEventListener("playing", () => this.#isAlone || rainy.play().catch(() => {}));
  }

  get isPlaying() {
    return !this.#clean.paused && !this.#clean.ended;
  }

  get place() {
    return this.#clean.currentTime;
  }

  get length() {
    return Number.isFinite(this.#clean.duration) ? this.#clean.duration : 0;
  }

  open(rainy, clean) {
    [this.#isAlone, this.#haveMet] = [false, false];
    for (const [film, from] of [[this.#rainy, rainy], [this.#clean, clean]]) {
      this.#held.get(film).length = 0;
      film.src = from;
    }
  }

  // Lets go of the connections.
  close() {
    for (const film of [this.#rainy, this.#clean]) {
      film.pause();
      film.removeAttribute("src");
      film.load();
      this.#held.get(film).length = 0;
    }
  }

  toggle() {
    if (this.isPlaying) this.#clean.pause();
    else this.#clean.play().catch(() => {});
  }

  seek(seconds) {
    this.#clean.currentTime = seconds;
    this.#follow(seconds);
  }

  #follow(seconds) {
    if (!this.#isAlone) this.#rainy.currentTime = seconds;
  }

  #halt() {
    this.#rainy.pause();
    this.#rainy.playbackRate = 1;
    this.#follow(this.#clean.currentTime);
  }

  #fail(film, failed) {
    if (film === this.#rainy) this.#isAlone = true;
    failed(film === this.#rainy ? "rainy" : "clean");
    this.#pair();
  }

  #listen(film) {
    const painted = (time) => {
      if (film.hasAttribute("src") && film.videoWidth) {
        this.#keep(film, time);
        if (film === this.#clean) this.#pace();
        this.#pair();
      }
      this.#listen(film);
    };
    if (film.requestVideoFrameCallback) film.requestVideoFrameCallback((_, { mediaTime }) => painted(mediaTime));
    else setTimeout(() => painted(film.currentTime), 40);
  }

  #keep(film, told) {
    // By now a busy browser may show a later picture than the one it told of; a frame has its own time with it.
    const frame = HAS_FRAMES && film.readyState >= film.HAVE_CURRENT_DATA ? new VideoFrame(film) : null;
    const time = frame ? frame.timestamp / 1e6 : told;
    const held = this.#held.get(film);
    // After a jump, what was before is of another place.
    if (held.length && Math.abs(time - held.at(-1).time) > 1) held.length = 0;
    const picture = held.length === KEPT ? held.shift().picture : document.createElement("canvas");
    [picture.width, picture.height] = [film.videoWidth, film.videoHeight];
    picture.getContext("2d", { alpha: false }).drawImage(frame ?? film, 0, 0);
    frame?.close();
    held.push({ time, picture });
  }

  // The rainy film catches up, or waits a little.
  #pace() {
    if (this.#isAlone || !this.isPlaying) return;
    const behind = this.#clean.currentTime - this.#rainy.currentTime;
    if (Math.abs(behind) > JUMP) this.#follow(this.#clean.currentTime);
    else this.#rainy.playbackRate = Math.min(1.25, Math.max(0.75, 1 + 2 * behind));
  }

  #pair() {
    const [ours, theirs] = [this.#held.get(this.#clean), this.#held.get(this.#rainy)];
    if (!ours.length) return;
    if (this.#isAlone) return this.#draw(ours.at(-1).picture, ours.at(-1).picture);
    for (const here of ours.toReversed()) {
      const there = theirs.find((each) => Math.abs(each.time - here.time) < SAME);
      if (there) {
        this.#haveMet = true;
        return this.#draw(there.picture, here.picture);
      }
    }
    // A busy browser leaves out other pictures of the one than of the other; the next that both have is waited for.
    if (this.#haveMet) return undefined;
    // Of a film whose times a browser counts otherwise, what is next to it.
    const apart = (each) => Math.abs(each.time - ours.at(-1).time);
    const near = [...theirs].sort((one, other) => apart(one) - apart(other))[0];
    if (near && theirs.length === KEPT) this.#draw(near.picture, ours.at(-1).picture);
    return undefined;
  }

  #draw(rainy, clean) {
    const [width, height] = [clean.width, clean.height];
    if (double.width !== 2 * width || double.height !== height) [double.width, double.height] = [2 * width, height];
    context.drawImage(rainy, 0, 0, width, height);
    context.drawImage(clean, width, 0, width, height);
    this.#shown(double);
  }
}
