// The loss curve, on which the moment can be chosen as well.

{
  const { step, lines, unit, level, drop, seeds } = story.curves;
  const values = lines.flatMap((line) => line.value).concat(level ?? []).filter((value) => value !== null && value > 0);
  const falls = lines.find((line) => line.falls);
  const last = Math.max(step[step.length - 1], ...story.steps);
  const until = drop && (drop.end ?? last);
  const chart = plot(byId("loss-plot"), {
    label: `${lines.map((line) => line.name).join("; ")} over the training steps. ${document.querySelector(".lead").textContent}`,
    x: { domain: [0, last], label: "training step" },
    y: { domain: [Math.min(...values) / 1.2, Math.max(...values) * 1.2], label: unit, log: true },
    lines: lines.map(({ name, colour, value, falls: main }) => ({
      name, colour, points: step.map((at, index) => [at, value[index] > 0 ? value[index] : null]), width: main ? 2.4 : 1.4,
    })),
    area: seeds && { points: step.map((at, index) => [at, seeds.low[index], seeds.high[index]]), colour: falls.colour },
    band: drop && [drop.onset, until],
    notes: drop ? [
      { at: drop.onset / 2, name: "plateau", anchor: "middle", room: [0, drop.onset] },
      { at: drop.onset, name: "onset", anchor: "end" },
      ...(drop.end === null ? [] : [{ at: drop.end, name: "end of the drop", anchor: "start" }]),
    ] : [],
    level: level === null ? null : { value: level, name: story.curves.trivial },
  });
  const band = seeds ? [{ name: `band: ${seeds.count} seeds`, colour: `color-mix(in srgb, ${falls.colour} 35%, transparent)` }] : [];
  legend(byId("loss-legend"), [...lines, ...band]);

  if (story.steps.length) {
    onMoment((at) => {
      const shown = story.steps[at];
      chart.cursor(shown, lines.map(({ colour, value }) => ({ colour, value: curveAt(value, shown) || null })));
    });
    const box = byId("loss-plot");
    const choose = (event) => goTo(nearest(chart.valueAt(event.clientX)));
    box.addEventListener("pointerdown", (event) => {
      box.setPointerCapture(event.pointerId);
      choose(event);
    });
    box.addEventListener("pointermove", (event) => {
      if (event.buttons) choose(event);
    });
  }
}
