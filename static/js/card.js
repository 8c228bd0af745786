// A card: one photo, from the moment it is given to its answer, and what can be asked about it.

import { paint } from "./explain.js";
import { describe, explain, predict, preview, tellRightLabel } from "./service.js";
import { fill, listen as listenSnippets } from "./snippets.js";
import { announce, duration, percent, size, spell, withArticle } from "./words.js";

const WEAK = 0.02;
const UNKNOWN = "This is nothing that I know.";
const NEAREST = 3; // labels of a photo that is not known

let cards = 0;

export class Card {
  #asked = 0;
  #currentModel;
  #sends;
  #onAnswer;
  #onCorrection;

  // `model` gives the picker's present choice; `onAnswer(card)` and `onCorrection(card, label)` are told what happens.
  constructor(photo, { model, sends, onAnswer, onCorrection }) {
    this.photo = photo;
    this.answer = null;
    this.#currentModel = model;
    this.#sends = sends;
    this.#onAnswer = onAnswer;
    this.#onCorrection = onCorrection;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.#name();
    this.#find("img").addEventListener("error", () => this.#showTile());
    this.#find(".again").addEventListener("click", () => {
      this.element.focus();
      this.ask();
    });
    this.#find(".wrong").addEventListener("submit", (event) => this.#correct(event));
    this.#find(".slider input").addEventListener("input", () => this.#fade());
    for (const button of this.element.querySelectorAll("[data-panel]")) {
      button.addEventListener("click", () => this.#toggle(button));
    }
    listenSnippets(this.#find(".code"));
    this.#showTile();
  }

  async prepare() {
    await this.photo.prepare(this.#currentModel().side);
    if (this.photo.url) this.#showPhoto();
  }

  // A later question overtakes an earlier one that is still on its way.
  async ask() {
    const turn = (this.#asked += 1);
    const model = this.#currentModel();
    this.#closePanels();
    this.#state("asking", "Looking…");
    try {
      const answer = await predict(this.photo, model.name, (seconds) => {
        if (turn === this.#asked) {
          this.#state("busy", `The server is busy. Trying again in ${Math.ceil(seconds)} s…`);
        }
      });
      if (turn !== this.#asked) return;
      this.answer = answer;
      this.model = { ...model, name: answer.model };
      this.#showAnswer();
      if (!this.photo.url) {
        // The browser cannot decode it, the server could.
        this.photo.show(await preview(this.photo));
        this.#showPhoto();
      }
      this.#onAnswer(this);
    } catch (problem) {
      if (turn === this.#asked) this.fail(problem);
    }
  }

  fail(problem) {
    this.#state("failed", "");
    this.#find(".reason").textContent = problem.message;
    this.#find(".again").hidden = !problem.passing;
    this.#find(".failure").hidden = false;
    announce(`${this.photo.name}: ${problem.message}`);
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  // Names that belong together by id, and that a screen reader tells cards apart by.
  #name() {
    cards += 1;
    const title = this.#find(".top");
    title.id = `card-${cards}`;
    this.element.setAttribute("aria-label", this.photo.name);
    for (const button of this.element.querySelectorAll("[data-panel]")) {
      const panel = this.#find(`.panel.${button.dataset.panel}`);
      panel.id = `card-${cards}-${button.dataset.panel}`;
      button.setAttribute("aria-controls", panel.id);
    }
  }

  #state(state, lead) {
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", String(state === "asking" || state === "busy"));
    this.#find(".lead").textContent = lead;
    this.#find(".failure").hidden = true;
  }

  #showTile() {
    const tile = this.#find(".tile");
    this.#find("img").hidden = true;
    tile.hidden = false;
    tile.textContent = `${this.photo.name} · ${size(this.photo.original.size)}`;
  }

  #showPhoto() {
    const image = this.#find("img");
    image.src = this.photo.url;
    image.alt = `Your photo ${this.photo.name}`;
    image.addEventListener("load", () => {
      this.#find(".photo").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    });
    image.hidden = false;
    this.#find(".tile").hidden = true;
  }

  #showAnswer() {
    const { predictions, sure, known, set, fallback, milliseconds } = this.answer;
    const unknown = known === false;
    this.#state("answered", unknown ? (fallback ? UNKNOWN : "") : sure ? "Looks like" : "Not sure. Perhaps");
    this.element.classList.toggle("unknown", unknown);
    this.#find(".nearest").hidden = !unknown;
    this.#find(".promise").hidden = !set;
    this.#find(".promise span").textContent = (set ?? []).map(spell).join(", ");
    this.element.classList.toggle("unsure", !sure);
    const perhaps = fallback ? `Perhaps ${withArticle(spell(fallback.label))}?` : "";
    this.#find(".top").textContent = unknown ? perhaps || UNKNOWN : shown(predictions);
    const nearest = predictions.slice(0, unknown ? NEAREST : undefined);
    this.#find(".shares").replaceChildren(...nearest.map(row));
    this.#find(".note").textContent = `${duration(milliseconds)} · ${this.model.title}`;
    fill(this.#find(".code"), this.photo.name, this.model.name);
    const told = `${shown(predictions)}, ${percent(predictions[0].probability)}`;
    const nothing = [UNKNOWN, perhaps, `The nearest of what I know: ${told}`].filter(Boolean).join(" ");
    announce(`${this.photo.name}: ${unknown ? nothing : sure ? told : `not sure, perhaps ${told}`}.`);
  }

  #toggle(button) {
    const open = button.getAttribute("aria-expanded") === "true";
    this.#closePanels();
    if (open) return;
    button.setAttribute("aria-expanded", "true");
    this.#find(`.panel.${button.dataset.panel}`).hidden = false;
    if (button.dataset.panel === "why") this.#explain();
    if (button.dataset.panel === "wrong") this.#offerLabels();
  }

  #closePanels() {
    for (const panel of this.element.querySelectorAll(".panel")) panel.hidden = true;
    for (const button of this.element.querySelectorAll("[data-panel]")) button.setAttribute("aria-expanded", "false");
    this.#find(".heat").hidden = true;
  }

  async #explain() {
    const canvas = this.#find(".heat");
    const hint = this.#find(".why .hint");
    const slider = this.#find(".slider");
    const answer = this.answer;
    if (canvas.dataset.model !== this.model.name) {
      slider.hidden = true;
      hint.textContent = "Looking for what decided…";
      try {
        const heat = await explain(this.photo, this.model.name, () => {
          hint.textContent = "The server is busy. Trying again…";
        });
        if (answer !== this.answer) return;
        const image = this.#find("img");
        paint(canvas, heat, { width: image.naturalWidth || 1, height: image.naturalHeight || 1 });
        canvas.dataset.model = this.model.name;
        hint.textContent = why(heat);
        announce(hint.textContent);
      } catch (problem) {
        hint.textContent = problem.message;
        announce(problem.message);
        return;
      }
    }
    slider.hidden = false;
    canvas.hidden = this.#find(".why").hidden;
    this.#fade();
  }

  #fade() {
    this.#find(".heat").style.setProperty("opacity", this.#find(".slider input").value / 100);
  }

  async #offerLabels() {
    const select = this.#find(".wrong select");
    if (select.dataset.model === this.model.name) return;
    try {
      const { labels } = await describe(this.model.name);
      const options = labels.map((label) => new Option(spell(label), label));
      select.replaceChildren(new Option("Choose a label", ""), ...options);
      select.dataset.model = this.model.name;
    } catch (problem) {
      this.#find(".wrong .hint").textContent = problem.message;
    }
  }

  async #correct(event) {
    event.preventDefault();
    const label = this.#find(".wrong select").value;
    const hint = this.#find(".wrong .hint");
    try {
      if (this.#sends) await tellRightLabel(this.photo, this.model.name, label);
      hint.textContent = `Thank you: “${spell(label)}” it is.`;
      this.#onCorrection(this, label);
    } catch (problem) {
      hint.textContent = problem.message;
    }
    announce(hint.textContent);
  }
}

// `strongest` is how much less probable the label got when the part that matters most was covered.
function why({ label, probability, strongest }) {
  const name = `“${spell(label)}”`;
  if (strongest < WEAK) return `No single part decided: ${name} holds whatever is covered.`;
  const [now, then] = [percent(probability), percent(probability - strongest)];
  return `The brighter, the more it speaks for ${name}: with the brightest part covered, ${now} becomes ${then}.`;
}

// What a photo is said to show: the first label, or each that is sure where a model answers each by itself.
function shown(predictions) {
  const sure = predictions.filter((prediction) => prediction.sure);
  return (sure.length ? sure : predictions.slice(0, 1)).map(({ label }) => spell(label)).join(", ");
}

function row({ label, probability, sure }) {
  const item = document.getElementById("row").content.firstElementChild.cloneNode(true);
  item.querySelector(".label").textContent = spell(label);
  item.querySelector(".percent").textContent = percent(probability);
  item.classList.toggle("unsure", sure === false);
  const part = item.querySelector(".part");
  // A frame later, so that the bar grows from nothing.
  requestAnimationFrame(() => part.setAttribute("width", `${(probability * 100).toFixed(2)}%`));
  return item;
}
