// The request just made, as programs would make it.

import { asked } from "./key.js";
import { address } from "./service.js";
import { announce } from "./words.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (text) => JSON.stringify(text);

export function curl(name, model) {
  const url = address("api/v1/predict");
  // Inside -F a name goes in quotes of its own: commas and semicolons mean something there.
  const file = `file=@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  const key = asked ? ['  -H "Authorization: Bearer $FOODSCENE_KEY" \\'] : [];
  const lines = [`curl ${shell(url)} \\`, ...key, `  -F ${shell(file)} \\`, `  -F ${shell(`model=${model}`)} -F top_k=5`];
  return lines.join("\n");
}

export function requests(name, model) {
  const url = address("api/v1/predict");
  const key = asked ? ['        headers={"Authorization": f"Bearer {os.environ[\'FOODSCENE_KEY\']}"},'] : [];
  return [
    ...(asked ? ["import os", ""] : []),
    "import requests",
    "",
    `with open(${python(name)}, "rb") as photo:`,
    "    answer = requests.post(",
    `        ${python(url)},`,
    ...key,
    '        files={"file": photo},',
    `        data={"model": ${python(model)}, "top_k": 5},`,
    "    )",
    "answer.raise_for_status()",
    'for prediction in answer.json()["predictions"]:',
    "    print(f\"{prediction['probability']:6.1%}  {prediction['label']}\")",
  ].join("\n");
}

export function fill(panel, name, model) {
  panel.querySelector(".curl code").textContent = curl(name, model);
  panel.querySelector(".python code").textContent = requests(name, model);
}

export function listen(panel) {
  for (const button of panel.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      await copy(code);
      button.textContent = "Copied";
      announce("Copied.");
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
}

// The clipboard needs https; on a plain address of the local network the old way works.
async function copy(code) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(code.textContent);
    return;
  }
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
}
