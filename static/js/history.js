// What was answered in this browser: kept here and nowhere else.

import { percent, spell, withArticle } from "./words.js";

const KEY = "foodscene.history";
const MOST = 100;
const SHOWN = 12;

// Of a photo that is not known, `fallback` is what it may be instead.
const COLUMNS = ["time", "photo", "model", "label", "probability", "sure", "known", "fallback", "right_label", "milliseconds"];

export class History {
  #section = document.getElementById("history");
  #undo = document.getElementById("undo");
  #entries = load();
  #all = false;

  constructor() {
    document.getElementById("clear").addEventListener("click", () => this.#clear());
    document.getElementById("export").addEventListener("click", () => save("foodscene.csv", csv(this.#entries)));
    document.getElementById("all").addEventListener("click", () => {
      this.#all = true;
      this.#show();
    });
    // Another tab wrote.
    addEventListener("storage", (event) => {
      if (event.key !== KEY && event.key !== null) return;
      this.#entries = load();
      this.#show();
    });
    this.#show();
  }

  add(entry) {
    this.#undo.hidden = true;
    this.#keep([entry, ...this.#entries].slice(0, MOST));
  }

  correct(id, label) {
    this.#keep(this.#entries.map((entry) => (entry.id === id ? { ...entry, right_label: label } : entry)));
  }

  #clear() {
    const old = this.#entries;
    this.#keep([]);
    this.#undo.hidden = false;
    const button = this.#undo.querySelector("button");
    button.onclick = () => {
      this.#undo.hidden = true;
      this.#keep(old);
      document.getElementById("clear").focus();
    };
    button.focus();
  }

  #keep(entries) {
    this.#entries = store(entries);
    this.#show();
  }

  #show() {
    const shown = this.#all ? this.#entries : this.#entries.slice(0, SHOWN);
    this.#section.hidden = this.#entries.length === 0;
    this.#section.querySelector("ol").replaceChildren(...shown.map(item));
    document.getElementById("all").hidden = shown.length === this.#entries.length;
    document.getElementById("all").textContent = `Show all ${this.#entries.length}`;
  }
}

function item(entry) {
  const element = document.createElement("li");
  const image = document.createElement(entry.thumbnail ? "img" : "span");
  if (entry.thumbnail) image.src = entry.thumbnail;
  image.className = "thumb";
  if (entry.thumbnail) image.alt = "";
  const label = document.createElement("b");
  label.textContent = entry.right_label ? spell(entry.right_label) : title(entry);
  const note = document.createElement("span");
  note.className = "note";
  note.textContent = entry.right_label
    ? `not ${spell(entry.label)}`
    : doubt(entry);
  element.title = `${entry.photo} · ${entry.model} · ${new Date(entry.time).toLocaleString()}`;
  element.append(image, label, note);
  return element;
}

function title({ label, known, fallback }) {
  if (known !== false) return spell(label);
  return fallback ? `Perhaps ${withArticle(spell(fallback))}` : "Nothing that I know";
}

function doubt({ probability, sure, known, fallback, label }) {
  if (known === false) return fallback ? "nothing that I know" : `nearest: ${spell(label)}`;
  return `${sure ? "" : "not sure, "}${percent(probability)}`;
}

// RFC 4180. A text that a spreadsheet would take for a formula gets a ' in front.
export function csv(entries) {
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [COLUMNS, ...entries.map((entry) => COLUMNS.map((column) => entry[column]))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function load() {
  try {
    const entries = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(entries) ? entries : [];
  } catch {
    return [];
  }
}

// Where the browser's room is short, the oldest go; without storage the history lasts as long as the page.
function store(entries) {
  for (let kept = entries; ; kept = kept.slice(0, Math.floor(kept.length / 2))) {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
      return kept;
    } catch {
      if (kept.length === 0) return entries;
    }
  }
}
