// The picture: one double-wide frame, rainy left and derained right, shown as one with a divider.
// Both halves come out of the same frame, so they are always of the same moment.

const canvas = document.getElementById("canvas");
const stage = document.getElementById("stage");
const divider = document.getElementById("divider");
const tags = [document.querySelector(".tag.left"), document.querySelector(".tag.right")];
const context = canvas.getContext("2d", { alpha: false });

let split = 0.5;
let shown = null; // a video element or an ImageBitmap

export function show(image) {
  if (shown !== image && shown instanceof ImageBitmap) shown.close();
  shown = image;
  draw();
}

// Leaves on the canvas what is on it.
export function release() {
  if (shown instanceof ImageBitmap) shown.close();
  shown = null;
}

function draw() {
  const width = (shown && (shown.videoWidth || shown.width)) >> 1;
  const height = shown && (shown.videoHeight || shown.height);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    stage.style.setProperty("--ratio", String(width / height));
  }
  const cut = Math.round(width * split);
  if (cut > 0) context.drawImage(shown, 0, 0, cut, height, 0, 0, cut, height);
  if (cut < width) context.drawImage(shown, width + cut, 0, width - cut, height, cut, 0, width - cut, height);
}

function move(to) {
  split = Math.min(1, Math.max(0, to));
  const percent = Math.round(split * 100);
  divider.style.left = `${split * 100}%`;
  divider.setAttribute("aria-valuenow", String(percent));
  divider.setAttribute("aria-valuetext", `${percent}% rainy, ${100 - percent}% derained`);
  tags[0].classList.toggle("faded", split < 0.12);
  tags[1].classList.toggle("faded", split > 0.88);
  draw();
}

function follow(event) {
  const box = stage.getBoundingClientRect();
  move((event.clientX - box.left) / box.width);
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  stage.setPointerCapture(event.pointerId);
  divider.focus({ preventScroll: true, focusVisible: false });
  event.preventDefault();
  follow(event);
});
stage.addEventListener("pointermove", (event) => {
  if (stage.hasPointerCapture(event.pointerId)) follow(event);
});
divider.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const to = {
    ArrowLeft: split - step, ArrowDown: split - step, ArrowRight: split + step, ArrowUp: split + step,
    PageDown: split - 0.1, PageUp: split + 0.1, Home: 0, End: 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  move(to);
});
move(split);
