// Elements. All text is set as text, so that nothing that comes from a run is ever read as HTML.

const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Radio buttons in a row; `choose` is called with the number of the one chosen, and at once with 0.
function radios(container, name, labels, choose) {
  labels.forEach((label, at) => {
    const input = html("input", { type: "radio", name, checked: at === 0 });
    input.addEventListener("change", () => choose(at));
    container.append(html("label", {}, input, ` ${label}`));
  });
  choose(0);
}

function legend(container, lines) {
  container.replaceChildren(...lines.map(({ name, colour }) => html("span", { style: `--colour: ${ink(colour)}` }, name)));
}

// The figures' black is white on a dark page.
const ink = (colour) => (colour === "#000000" ? "var(--ink)" : colour);

const percent = (share) => `${Math.round(100 * share)} %`;
const grouped = (number) => number.toLocaleString("en");
const signed = (number, digits = 2) => number.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
