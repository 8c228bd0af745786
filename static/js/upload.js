// The ways in for photos: chosen, taken with the camera, dropped anywhere, pasted.

export function listen(onFiles) {
  for (const input of document.querySelectorAll("input[type=file]")) {
    input.multiple = !input.capture;
    input.addEventListener("change", () => {
      hand(input.files);
      input.value = ""; // the same photo can be chosen again
    });
  }

  addEventListener("paste", (event) => hand(event.clipboardData?.files));

  // `dragenter` and `dragleave` come for every element on the way: their balance says whether the photo is still here.
  let depth = 0;
  const mark = (change) => {
    depth = change === 0 ? 0 : Math.max(0, depth + change);
    document.documentElement.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", (event) => carriesFiles(event) && mark(+1));
  addEventListener("dragleave", (event) => carriesFiles(event) && mark(-1));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    mark(0);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hand(event.dataTransfer.files);
  });

  function hand(files) {
    if (files?.length) onFiles([...files]);
  }
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
