// The API key, where the operator asks for one: typed in once, kept as long as the tab is open.

const KEY = "foodscene.key";
const field = document.getElementById("key");

if (field) {
  try {
    field.value = sessionStorage.getItem(KEY) ?? "";
  } catch {
    // Storage is switched off in this browser: it is typed in again after a reload.
  }
  field.addEventListener("change", () => {
    try {
      sessionStorage.setItem(KEY, field.value);
    } catch {
      // As above.
    }
  });
}

export const asked = Boolean(field);

export const authorization = () => (field?.value ? { Authorization: `Bearer ${field.value}` } : {});
