// The page: photos come in, become cards, and what was answered goes to the history.

import { Card } from "./card.js";
import { History } from "./history.js";
import { Photo } from "./photo.js";
import { Queue } from "./queue.js";
import { Problem } from "./service.js";
import { listen } from "./upload.js";
import { announce, size } from "./words.js";

const ask = document.getElementById("ask");
const results = document.getElementById("results");
const history = new History();
const queue = new Queue(4);
const maxBytes = Number(ask.dataset.maxBytes);
let cards = [];

function model() {
  const chosen = ask.querySelector("[name=model]:checked, [name=model][type=hidden]");
  return { name: chosen.value, title: chosen.dataset.title, side: Number(chosen.dataset.side) };
}

function take(files) {
  if (!ask.elements.model) return;
  for (const card of cards) card.photo.forget();
  cards = files.map(
    (file) =>
      new Card(new Photo(file), {
        model,
        sends: ask.dataset.feedback === "true",
        onAnswer: remember,
        onCorrection: (card, label) => history.correct(card.entry, label),
      }),
  );
  results.replaceChildren(...cards.map((card) => card.element));
  results.classList.toggle("grid", cards.length > 1);
  results.hidden = false;
  document.documentElement.classList.add("answering");
  results.scrollIntoView({ block: "nearest" });
  if (cards.length > 1) announce(`${cards.length} photos.`);
  for (const card of cards) queue.run(() => work(card));
}

async function work(card) {
  try {
    await card.prepare();
    const bytes = card.photo.blob.size;
    if (bytes > maxBytes) {
      throw new Problem(`The photo is too large: it has ${size(bytes)}, and at most ${size(maxBytes)} are read here.`);
    }
  } catch (problem) {
    card.fail(problem);
    return;
  }
  await card.ask();
}

async function remember(card) {
  const { answer, photo } = card;
  card.entry = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  history.add({
    id: card.entry,
    time: new Date().toISOString(),
    photo: photo.name,
    model: answer.model,
    ...answer.predictions[0],
    sure: answer.sure,
    known: answer.known,
    fallback: answer.fallback?.label,
    milliseconds: answer.milliseconds,
    thumbnail: await photo.thumbnail().catch(() => null),
  });
}

listen(take);
// Another model is chosen: what is on the page is asked again.
ask.addEventListener("change", (event) => {
  if (event.target.name === "model") for (const card of cards) queue.run(() => card.ask());
});
