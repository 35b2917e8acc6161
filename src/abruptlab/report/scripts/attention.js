// The attention of all heads, and of one of them query by query, as a picture over the matrix.

if (has("attention")) {
  const { grids, kinds, colours, share, uniform, label } = story.attention;
  const { shape, levels, valueOf } = await unpackMaps(story.attention.maps);
  const { zero, scale } = story.attention.maps;
  const signed = zero > 0; // linear attention, which is no share of a whole
  const [, layers, heads, places] = shape;
  const colourOfLevel = signed ? palettes.values : palettes.shares;
  const palette = colourOfLevel.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const nameOfKind = (kind) => kind.replace("row and column", "row+col");
  const colourOf = (kind) => colours[kind] ?? "var(--line)";
  let chosen = null; // [layer, head]
  let query = 0;

  const mapOf = (at, layer, head) => {
    const size = places * places;
    const start = ((at * layers + layer) * heads + head) * size;
    return levels.subarray(start, start + size);
  };

  function paint(canvas, map) {
    const image = new ImageData(places, places);
    map.forEach((level, at) => image.data.set([...palette[level], 255], 4 * at));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // The kind that a head is labelled by, or else the one it favours most, and its share beyond that of uniform attention.
  function favourite(at, layer, head) {
    const beyond = share[at][layer][head].map((value, kind) => (value ?? 0) - (uniform[kind] ?? 0));
    const named = kinds.indexOf(label[at][layer][head]);
    const best = named === -1 ? beyond.indexOf(Math.max(...beyond)) : named;
    return { kind: kinds[best], labelled: named !== -1, beyond: beyond[best] };
  }

  const cells = [];
  const table = byId("heads");
  table.style.setProperty("--heads", heads);
  table.append(html("span"), ...Array.from({ length: heads }, (_, head) => html("span", { class: "name top" }, `head ${head + 1}`)));
  for (let layer = 0; layer < layers; layer += 1) {
    table.append(html("span", { class: "name" }, `layer ${layer + 1}`));
    for (let head = 0; head < heads; head += 1) {
      const canvas = html("canvas", { width: places, height: places });
      const text = html("span", { class: "label" });
      const button = html("button", { type: "button", "aria-pressed": "false" }, canvas, text);
      button.addEventListener("click", () => open(layer, head, true));
      table.append(button);
      cells.push({ layer, head, canvas, text, button });
    }
  }
  legend(byId("attention-legend"), Object.entries(colours).map(([name, colour]) => ({ name: nameOfKind(name), colour })));

  function draw(at) {
    const count = {};
    for (const { layer, head, canvas, text, button } of cells) {
      const { kind, labelled, beyond } = favourite(at, layer, head);
      paint(canvas, mapOf(at, layer, head));
      const said = kinds.length === 1 ? percent(beyond) : "–"; // of the one kind there is, whether it has most or not
      text.textContent = labelled ? `${nameOfKind(kind)} ${percent(beyond)}` : said;
      text.style.setProperty("--colour", labelled ? colourOf(kind) : "var(--line)");
      button.setAttribute("aria-label", `layer ${layer + 1}, head ${head + 1}: ${labelled ? `${kind}, ${percent(beyond)}` : "no kind of place has most of it"}`);
      if (labelled) count[kind] = (count[kind] ?? 0) + 1;
    }
    const named = kinds.filter((kind) => count[kind]).map((kind) => `${nameOfKind(kind)} ${count[kind]}`);
    const rest = layers * heads - Object.values(count).reduce((sum, number) => sum + number, 0);
    byId("attention-summary").textContent = `Of ${layers * heads} heads at step ${grouped(story.steps[at])}: ${[...named, ...(rest ? [`none of these ${rest}`] : [])].join(", ")}.`;
    if (chosen) drawHead(at);
  }

  // One head: its map, and the grids of places from which the query is chosen and on which its attention is shown.
  const panel = byId("head");
  const title = html("span");
  const close = html("button", { type: "button", "aria-label": "Close" }, "✕");
  const large = html("canvas", { width: places, height: places, role: "img" });
  const mark = html("div", { class: "row" });
  const sentence = html("p", { "aria-live": "polite" });
  const shares = html("table", { class: "shares" });
  const buttons = [];
  const pickers = grids.map(({ name, start, rows, columns }) => {
    const grid = html("div", { class: columns > 10 ? "grid many" : "grid", role: "group", "aria-label": name });
    grid.style.setProperty("--columns", columns);
    for (let at = start; at < Math.min(places, start + rows * columns); at += 1) {
      const button = html("button", { type: "button", tabindex: "-1" });
      button.addEventListener("click", () => ask(at));
      button.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
        if (!by) return;
        event.preventDefault();
        ask(Math.max(0, Math.min(places - 1, at + by)), true);
      });
      grid.append(button);
      buttons[at] = button;
    }
    return html("div", {}, grids.length > 1 ? html("span", { class: "soft" }, name) : null, grid);
  });
  panel.append(
    html("h3", {}, title, close),
    html("div", {}, html("div", { class: "map" }, large, mark), html("p", { class: "soft" }, `Queries down, keys across. ${signed ? `Red: above zero; blue: below; full colour at ±${scale.toPrecision(2)}` : "Dark: none; bright: all of the attention"}.`)),
    html("div", {}, sentence, ...pickers, html("p", { class: "soft" }, "Click an entry to make it the query; the colours are its attention to the others."), shares),
  );
  const placeName = (at) => {
    const grid = grids.findLast(({ start }) => start <= at);
    const [row, column] = [Math.floor((at - grid.start) / grid.columns) + 1, ((at - grid.start) % grid.columns) + 1];
    if (grid.rows * grid.columns === 1) return grid.name;
    return `row ${row}, column ${column}${grids.length > 1 ? ` of the ${grid.name.split(":")[0]}` : ""}`;
  };
  close.addEventListener("click", () => {
    const opened = cells.find(({ layer, head }) => layer === chosen[0] && head === chosen[1]);
    open(null);
    opened.button.focus();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close.click();
  });
  large.addEventListener("click", (event) => {
    const { top, height } = large.getBoundingClientRect();
    ask(Math.min(places - 1, Math.floor(((event.clientY - top) / height) * places)));
  });

  function open(layer, head, show) {
    chosen = layer === null ? null : [layer, head];
    panel.hidden = chosen === null;
    cells.forEach((cell) => cell.button.setAttribute("aria-pressed", cell.layer === layer && cell.head === head));
    if (chosen === null) return;
    drawHead(now);
    if (show) panel.scrollIntoView({ block: "nearest" });
  }

  function ask(at, focus) {
    query = at;
    drawHead(now);
    if (focus) buttons[at].focus();
  }

  function drawHead(at) {
    const [layer, head] = chosen;
    const map = mapOf(at, layer, head);
    const { kind, labelled, beyond } = favourite(at, layer, head);
    title.textContent = `Layer ${layer + 1}, head ${head + 1}, step ${grouped(story.steps[at])}: ${labelled ? `mostly ${nameOfKind(kind)}` : `no kind of place has most of it`}`;
    paint(large, map);
    large.setAttribute("aria-label", `Attention of the head: ${nameOfKind(kind)} ${percent(beyond)} beyond uniform attention`);
    mark.style.top = `${(100 * query) / places}%`;
    mark.style.height = `${100 / places}%`;
    sentence.textContent = `Attention from the entry at ${placeName(query)}:`;
    buttons.forEach((button, place) => {
      const level = map[query * places + place];
      const colour = colourOfLevel[level];
      const part = signed ? valueOf(level).toPrecision(2) : percent(valueOf(level));
      button.textContent = part;
      button.setAttribute("style", `background: ${colour}; color: ${readableOn(colour)}`);
      button.setAttribute("aria-label", `${placeName(place)}: ${part}${place === query ? ", the query" : ""}`);
      button.setAttribute("aria-current", place === query);
      button.tabIndex = place === query ? 0 : -1;
    });
    shares.replaceChildren(
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "share of its attention, mean over queries"), html("th", { scope: "col", class: "number" }, "head"), html("th", { scope: "col", class: "number" }, "uniform"))),
      html("tbody", {}, ...kinds.map((name, which) => html("tr", {}, html("th", { scope: "row" }, nameOfKind(name)),
        html("td", { class: "number" }, share[at][layer][head][which] === null ? "–" : percent(share[at][layer][head][which])),
        html("td", { class: "number" }, uniform[which] === null ? "–" : percent(uniform[which]))))),
    );
  }

  onMoment(draw);
}
