// The heat map of what decided, laid over the photo.

// Five stops of matplotlib's "inferno" (CC0): even in lightness, so it also reads in shades of grey.
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const LONGEST_SIDE = 480;

// `heat` is what the service explains: `grid` holds rows of shares, 0 to 1, and `area` the part of the photo that the
// network saw, as shares of its width and height: left, top, right, bottom, beyond 0 and 1 where it saw borders too.
export function paint(canvas, { grid, area }, photo) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(photo.width, photo.height));
  canvas.width = Math.round(photo.width * scale);
  canvas.height = Math.round(photo.height * scale);
  const brush = canvas.getContext("2d");
  brush.fillStyle = colour(0);
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = area;
  const { width, height } = canvas;
  brush.drawImage(coloured(grid), left * width, top * height, (right - left) * width, (bottom - top) * height);
}

function coloured(grid) {
  const small = document.createElement("canvas");
  small.width = grid[0].length;
  small.height = grid.length;
  const brush = small.getContext("2d");
  grid.forEach((row, y) =>
    row.forEach((share, x) => {
      brush.fillStyle = colour(share);
      brush.fillRect(x, y, 1, 1);
    }),
  );
  return small;
}

function colour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (INFERNO.length - 1);
  const low = Math.min(Math.floor(place), INFERNO.length - 2);
  const mix = INFERNO[low].map((from, channel) => from + (INFERNO[low + 1][channel] - from) * (place - low));
  return `rgb(${mix.map(Math.round).join(" ")})`;
}
