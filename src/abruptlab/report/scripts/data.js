// What the page holds: the story, and arrays packed into text (see pack.py).

const story = JSON.parse(byId("story").textContent);
const palettes = story.palettes;

const has = (part) => part in story && !("missing" in story[part]);

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function unpackMaps({ shape, bytes, zero, scale }) {
  const stream = new Blob([bytesOf(bytes)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const valueOf = (level) => scale * Math.sign(level - zero) * ((level - zero) / (255 - zero)) ** 2;
  return { shape, valueOf, levels: new Uint8Array(await new Response(stream).arrayBuffer()) };
}

// Red above zero, blue below; full colour at ±scale.
function valueColour(value, scale) {
  const level = Math.round(127.5 * (1 + Math.max(-1, Math.min(1, value / scale))));
  return palettes.values[level];
}

// Black or white, whichever can be read on a colour.
function readableOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
}
