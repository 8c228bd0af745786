// How figures and labels are put into words.

export function percent(share) {
  if (share >= 0.995 && share < 1) return ">99%";
  if (share < 0.005) return "<1%";
  return `${Math.round(share * 100)}%`;
}

export const spell = (label) => label.replaceAll("_", " ");

// A label as a sentence has it, as `models/text.py` puts it: "a lion", "an axolotl", "sunglasses".
export function withArticle(label) {
  if (/(?<![sui])s$/.test(label)) return label;
  return `${/^(?!uni|eu|one)([aeiou]|hour)/i.test(label) ? "an" : "a"} ${label}`;
}

export function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

export function size(bytes) {
  return bytes >= 1e6 ? `${Math.round(bytes / 1e5) / 10} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

// Screen readers hear what is written here.
export function announce(text) {
  const status = document.getElementById("status");
  const line = document.createElement("span");
  line.textContent = `${text} `;
  status.append(line);
  while (status.childElementCount > 20) status.firstElementChild.remove();
}
