// Two measures that can move before the loss does.

if (has("progress")) {
  const { collapse, attention, uniform } = story.progress;
  const { drop } = story.curves;
  const last = story.steps[story.steps.length - 1];
  const layered = (measure, colour) => [
    ...measure.layers.map((values, layer) => ({
      name: `layer ${layer + 1}`, colour, points: values.map((value, at) => [story.steps[at], value]),
      width: 1, opacity: 0.25 + (0.5 * layer) / measure.layers.length,
    })),
    { name: "all", colour, points: measure.run.map((value, at) => [story.steps[at], value]), width: 2.4 },
  ];
  for (const [id, measure, colour, name, level] of [
    ["useful-plot", attention, "#009E73", "share of attention", { value: uniform, name: "uniform" }],
    ["collapse-plot", collapse, "#0072B2", "cosine similarity", null],
  ]) {
    const values = [measure.run, ...measure.layers, level ? [level.value] : []].flat().filter((value) => value !== null);
    const [low, high] = [Math.min(0, ...values), Math.max(...values)];
    const chart = plot(byId(id), {
      label: `${name} over the training steps, from ${measure.run[0]} to ${measure.run[measure.run.length - 1]}`,
      x: { domain: [0, last], label: "training step" },
      y: { domain: [low, high + 0.05 * (high - low)], label: name },
      lines: layered(measure, colour),
      band: drop && [drop.onset, drop.end ?? last],
      level,
    });
    onMoment((at) => chart.cursor(story.steps[at], [{ value: measure.run[at], colour }]));
  }
}
