// Which formats the server reads, and how the browser decodes those that it knows.

const READ = [/^\xff\xd8/, /^\x89PNG\r\n\x1a\n/, /^GIF8[79]a/, /^BM/, /^(II[*+]\0|MM\0[*+])/, /^RIFF[^]{4}WEBP/, /^[^]{4}ftyp/];
const DRAWING = /^(\xef\xbb\xbf)?\s*<(\?xml|!--|!DOCTYPE|svg)/i;
const USUAL = { width: 300, height: 150 }; // of a drawing that names no size

// Whether the server reads what begins with these bytes: what `models/decoding/inspection.py` knows.
export function isReadByServer(beginning) {
  const text = latin(beginning);
  return READ.some((format) => format.test(text));
}

// A file's picture and its size, or null where the browser cannot decode it. `drawn` says that it has no pixels yet.
export async function decode(file) {
  try {
    const image = await createImageBitmap(file, { imageOrientation: "from-image" });
    return { image, width: image.width, height: image.height, drawn: false };
  } catch {
    return decodeAsElement(file);
  }
}

// An element decodes drawings, which createImageBitmap does not.
async function decodeAsElement(file) {
  const drawn = DRAWING.test(latin(await file.slice(0, 256).arrayBuffer()));
  const url = URL.createObjectURL(drawn ? new Blob([file], { type: "image/svg+xml" }) : file);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
  const size = image.naturalWidth && image.naturalHeight ? { width: image.naturalWidth, height: image.naturalHeight } : USUAL;
  return { image, drawn, ...size };
}

const latin = (bytes) => String.fromCharCode(...new Uint8Array(bytes));
