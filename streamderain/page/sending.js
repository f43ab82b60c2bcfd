// Files on their way here, one after the other: so each comes the sooner.

import { Card } from "/clips.js";
import { size } from "/words.js";

const cards = new Set(); // of those that are not here yet
let last = Promise.resolve();

export function isSending() {
  return cards.size > 0;
}

// Sends files whose cards stand on `shelf` meanwhile. `room` says how many bytes may come, `arrived` is given the id of
// each clip that they became and whether it is the first of them, `refused` why one became none.
export function send(files, shelf, room, arrived, refused) {
  let isFirst = true;
  for (const file of files) {
    const request = new XMLHttpRequest(); // fetch does not tell how far a body is
    const card = new Card(file.name, () => {}, gone);
    let isWanted = true;
    function gone() {
      isWanted = false;
      request.abort();
      card.element.remove();
      cards.delete(card);
    }
    card.sending(0, file.size);
    cards.add(card);
    shelf.append(card.element);
    last = last.then(async () => {
      try {
        if (isWanted && file.size > room()) throw new Error(`the disk has room for ${size(room())} more`);
        const id = isWanted ? await sent(request, file, card) : null;
        if (id !== null) await arrived(id, isFirst);
        isFirst &&= id === null;
      } catch ({ message }) {
        refused(message.includes(file.name) ? message : `${file.name}: ${message}`);
      } finally {
        gone();
      }
    });
  }
}

// The id of the clip, null where it was not wanted any more.
function sent(request, file, card) {
  const answered = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", ({ loaded }) => card.sending(loaded / (file.size || 1), file.size));
    request.addEventListener("load", () => {
      const { id, error } = request.response ?? {};
      if (request.status < 300) resolve(id);
      else reject(new Error(error || `the server answers ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the connection broke; send it again")));
    request.addEventListener("abort", () => resolve(null));
  });
  request.open("POST", `/api/clips?name=${encodeURIComponent(file.name)}`);
  request.responseType = "json";
  request.send(file);
  return answered;
}
