// What is read off each layer's output.

if (has("probes")) {
  const { sites, places, targets } = story.probes;
  const colours = ["#009E73", "#CC79A7", "#D55E00", "#0072B2"];
  let which = places.indexOf("hidden");
  const linesAt = (at) => targets.flatMap(({ name, cosine, chance }, target) => {
    const points = (values) => values[at].map((site, index) => [index, site[which]]);
    return [
      { name, colour: colours[target], points: points(cosine), width: 2.2 },
      { name: `${name}, shuffled`, colour: colours[target], points: points(chance), width: 1.2, dash: "2 4" },
    ];
  });
  const label = (at) => {
    const said = targets.map(({ name, cosine }) => `${name}: at best ${Math.max(...cosine[at].map((site) => site[which] ?? -1)).toFixed(2)}`);
    return `Cosine similarity over the layers, ${places[which]} places. ${said.join("; ")}`;
  };
  const lowest = Math.min(0, ...targets.flatMap(({ cosine, chance }) => [cosine, chance]).flat(3).filter((value) => value !== null));
  const chart = plot(byId("probe-plot"), {
    label: label(now), lines: linesAt(now),
    x: { domain: [-0.2, sites.length - 0.8], label: "", names: sites },
    y: { domain: [Math.max(-1, lowest - 0.02), 1.02], label: "cosine similarity" },
  });
  legend(byId("probe-legend"), targets.map(({ name }, at) => ({ name, colour: colours[at] })));
  const draw = (at) => chart.update({ lines: linesAt(at), label: label(at) });
  const order = ["hidden", "observed", "all"].filter((place) => places.includes(place));
  radios(byId("probe-places"), "probe-places", order.map((place) => `${place} places`), (at) => {
    which = places.indexOf(order[at]);
    draw(now);
  });
  onMoment(draw);
}
