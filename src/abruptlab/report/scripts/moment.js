// The moment that the page shows: the number of a checkpoint. The parts of the page listen to it.

const listeners = [];
let now = story.steps.length - 1;

function onMoment(listener) {
  listeners.push(listener);
  listener(now);
}

function goTo(at) {
  now = Math.max(0, Math.min(story.steps.length - 1, at));
  listeners.forEach((listener) => listener(now));
}

function nearest(step) {
  const away = story.steps.map((saved) => Math.abs(saved - step));
  return away.indexOf(Math.min(...away));
}

function phase(step) {
  const { drop } = story.curves;
  if (drop === null) return "no drop found";
  if (step < drop.onset) return "before the drop";
  return drop.end === null || step <= drop.end ? "the drop" : "after the drop";
}

// The value of a curve at a step: the last point of it that is not later.
function curveAt(values, step) {
  const later = story.curves.step.findIndex((point) => point > step);
  return values[later === -1 ? values.length - 1 : Math.max(0, later - 1)];
}

if (story.steps.length) {
  const scrubber = byId("scrubber");
  const falls = story.curves.lines.find((line) => line.falls);
  scrubber.addEventListener("input", () => goTo(Number(scrubber.value)));
  byId("back").addEventListener("click", () => goTo(now - 1));
  byId("forth").addEventListener("click", () => goTo(now + 1));

  let playing = null;
  const play = byId("play");
  function pause() {
    clearInterval(playing);
    playing = null;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  }
  play.addEventListener("click", () => {
    if (playing !== null) return pause();
    if (now === story.steps.length - 1) goTo(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    playing = setInterval(() => {
      goTo(now + 1);
      if (now === story.steps.length - 1) pause();
    }, 350);
  });

  // the arrows move the slider from anywhere on the page where they mean nothing else
  document.addEventListener("keydown", (event) => {
    const elsewhere = event.target.closest("input, select, .grid, .scroll");
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !elsewhere && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      goTo(now + by);
    }
  });

  const moments = story.moments.map(({ name, at }) => {
    const button = html("button", { type: "button", "data-at": at }, name.replace("-", " the "));
    button.addEventListener("click", () => goTo(at));
    return button;
  });
  byId("moments").append(...moments);

  onMoment((at) => {
    const step = story.steps[at];
    const value = curveAt(falls.value, step);
    const text = `step ${grouped(step)} · ${phase(step)} · ${falls.name.split(",")[0]} ${value === null ? "–" : value.toPrecision(2)}`;
    scrubber.value = at;
    scrubber.setAttribute("aria-valuetext", text);
    byId("moment").textContent = text;
    moments.forEach((button) => button.setAttribute("aria-pressed", Number(button.dataset.at) === at));
  });
}
