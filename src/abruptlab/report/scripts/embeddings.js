// Token and positional embeddings, moving along axes that stay.

if (has("embeddings")) {
  const { value, row, column, tokens, positions, layout, by_column: byColumn, by_row: byRow } = story.embeddings;
  const SIZE = 400;
  const EDGE = 26;

  // the largest extent over all moments, so that what moves is the embeddings and not the axes
  function extent(frames) {
    const all = frames.flat();
    return [0, 1].map((axis) => {
      const along = all.map((point) => point[axis]);
      return [Math.min(...along), Math.max(...along)];
    });
  }

  function draw(container, points, [across, up], dot, label) {
    const x = scale(across, [EDGE, SIZE - EDGE]);
    const y = scale(up, [SIZE - EDGE, EDGE]);
    const frame = svg("rect", { class: "frame", x: 1, y: 1, width: SIZE - 2, height: SIZE - 2 });
    const dots = points.map(([first, second], at) => dot(x(first), y(second), at));
    container.replaceChildren(svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": label }, frame, ...dots));
  }

  const largest = Math.max(...value.map(Math.abs));
  const ofTokens = extent(tokens);
  const columns = Math.max(...column);
  const placeColour = (at) => palettes.shares[Math.round((235 * column[at]) / (columns || 1))];
  const token = (cx, cy, at) => svg("circle", { cx, cy, r: 4, fill: valueColour(value[at], largest), stroke: "var(--soft)", "stroke-width": 0.5 }, svg("title", {}, signed(value[at])));
  const place = (cx, cy, at) => svg("g", {},
    svg("circle", { cx, cy, r: 13, fill: placeColour(at), opacity: 0.9 }),
    svg("text", { x: cx, y: cy + 4, "text-anchor": "middle", style: `fill: ${readableOn(placeColour(at))}` }, `${row[at] + 1},${column[at] + 1}`));
  const views = [
    { name: "principal components", frames: positions, fixed: extent(positions) },
    { name: "t-SNE", frames: layout, fixed: null }, // it has no axes to share
  ];
  let view = views[0];

  function update(at) {
    const when = `at step ${grouped(story.steps[at])}`;
    draw(byId("tokens"), tokens[at], ofTokens, token, `Embeddings of ${value.length} numbers ${when}, on two principal components`);
    draw(byId("positions"), view.frames[at], view.fixed ?? extent([view.frames[at]]), place, `Embeddings of the places ${when}, by ${view.name}`);
    byId("clusters").textContent = `Share of their variance between columns: ${Math.round(100 * byColumn[at])} %; between rows: ${Math.round(100 * byRow[at])} %.`;
  }

  radios(byId("positions-as"), "positions-as", views.map(({ name }) => name), (which) => {
    view = views[which];
    update(now);
  });
  onMoment(update);
}
