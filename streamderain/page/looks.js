// A clip's derained frames, each a double-wide picture with the derained half in full. The page mixes that half with the
// rainy one: what is taken away is in proportion to the strength.

import { ask } from "/ways.js";

const mixed = document.createElement("canvas");
const context = mixed.getContext("2d", { alpha: false });
const kept = new Map(); // the pictures of one clip, by moment
let owner = null;

// The double-wide picture of a moment, or null if it is not there.
export async function look(clip, moment) {
  if (owner !== clip) forget();
  owner = clip;
  if (!kept.has(moment)) {
    const picture = await createImageBitmap(await (await ask(`/clips/${clip}/${moment}.jpg`)).blob());
    if (owner !== clip || kept.has(moment)) picture.close();
    else kept.set(moment, picture);
  }
  return owner === clip ? (kept.get(moment) ?? null) : null;
}

export function forget() {
  for (const picture of kept.values()) picture.close();
  kept.clear();
}

// The same at a strength of 0 to 1; the canvas is one and the same each time.
export function mix(picture, strength) {
  if (mixed.width !== picture.width || mixed.height !== picture.height) {
    mixed.width = picture.width;
    mixed.height = picture.height;
  }
  const [half, height] = [picture.width / 2, picture.height];
  context.globalAlpha = 1;
  context.drawImage(picture, 0, 0, half, height, 0, 0, half, height);
  context.drawImage(picture, 0, 0, half, height, half, 0, half, height);
  context.globalAlpha = strength;
  context.drawImage(picture, half, 0, half, height, half, 0, half, height);
  return mixed;
}

// A picture of its own on both sides, before there is more.
export function twice(picture) {
  [mixed.width, mixed.height] = [2 * picture.naturalWidth, picture.naturalHeight];
  context.globalAlpha = 1;
  context.drawImage(picture, 0, 0);
  context.drawImage(picture, picture.naturalWidth, 0);
  return mixed;
}
