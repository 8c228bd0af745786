// A photo on its way to the server: scaled down if it is big, upright, with something to show.

import { decode, isReadByServer } from "./formats.js";
import { Problem } from "./service.js";

const LONGEST_SIDE = 1280;
const SMALL_ENOUGH = 600_000;
const THUMBNAIL = 112;

export class Photo {
  constructor(file) {
    this.original = file;
    this.name = file.name || "pasted.png";
    this.blob = file;
    this.url = null;
    this.width = 0;
    this.height = 0;
  }

  // What the browser cannot decode (HEIC, TIFF, or no image at all) goes out as it is: the server reads more. What the
  // server does not read (SVG, ICO, JPEG XL) goes out as a JPEG, where the browser can decode it.
  async prepare(side) {
    const longest = Math.max(LONGEST_SIDE, 2 * side);
    const read = await this.#beginning().then(isReadByServer);
    const decoded = await decode(this.original);
    if (!decoded) return;
    const { image, drawn } = decoded;
    const fitting = longest / Math.max(decoded.width, decoded.height);
    const scale = drawn ? fitting : Math.min(1, fitting); // a drawing is sharp at every size
    this.width = Math.max(1, Math.round(decoded.width * scale));
    this.height = Math.max(1, Math.round(decoded.height * scale));
    if (!read || scale < 1 || this.original.size > SMALL_ENOUGH) {
      const jpeg = await this.#asJpeg(image);
      if (jpeg && (!read || jpeg.size < this.original.size)) this.blob = jpeg;
    }
    image.close?.();
    this.show(this.blob);
  }

  // A folder that was dropped looks like a file until it is read.
  async #beginning() {
    try {
      return await this.original.slice(0, 16).arrayBuffer();
    } catch {
      throw new Problem("This cannot be read as a file. If it is a folder, choose the photos inside it.");
    }
  }

  // Nothing where the browser keeps the pixels to itself, as those of a drawing that holds pages.
  async #asJpeg(image) {
    try {
      return await draw(image, this.width, this.height).convertToBlob({ type: "image/jpeg", quality: 0.92 });
    } catch {
      return null;
    }
  }

  show(blob) {
    if (blob) this.url = URL.createObjectURL(blob);
  }

  // A small square cut from the middle, as a data: address that the history can keep.
  async thumbnail() {
    if (!this.url) return null;
    const image = new Image();
    image.src = this.url;
    await image.decode();
    const edge = Math.min(image.naturalWidth, image.naturalHeight);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = THUMBNAIL;
    const brush = canvas.getContext("2d");
    white(brush);
    const [left, top] = [(image.naturalWidth - edge) / 2, (image.naturalHeight - edge) / 2];
    brush.drawImage(image, left, top, edge, edge, 0, 0, THUMBNAIL, THUMBNAIL);
    return canvas.toDataURL("image/jpeg", 0.8);
  }

  forget() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }
}

function draw(image, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d");
  white(brush);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(image, 0, 0, width, height);
  return canvas;
}

// Transparent parts lie over white, as on the server.
function white(brush) {
  brush.fillStyle = "white";
  brush.fillRect(0, 0, brush.canvas.width, brush.canvas.height);
}
