// A matrix: what the model is given, what it says, what is true, and the error.

if (has("examples")) {
  const { masks, percentile, truth, observed, predictions } = story.examples;
  const difficulty = { 10: "easy", 50: "typical", 90: "hard", 99: "very hard" };
  const choose = { example: byId("example"), mask: byId("mask") };
  percentile.forEach((at, index) => {
    choose.example.append(html("option", { value: index, selected: at === 50 }, `${difficulty[at]}: its final error is at ${at} % of all`));
  });
  masks.forEach((name, index) => choose.mask.append(html("option", { value: index }, name)));

  function table(caption, matrix, seen, value, scale) {
    const large = matrix[0].length > 10;
    const rows = matrix.map((row, i) => html("tr", {}, ...row.map((_, j) => {
      const shown = value(i, j);
      if (shown === null) return html("td", { class: "hole", "aria-label": "hidden" }, "");
      const colour = valueColour(shown, scale);
      const style = `background: ${colour}; color: ${readableOn(colour)}`;
      return html("td", { style, class: seen[i][j] ? null : "asked", title: signed(shown, 4) }, signed(shown));
    })));
    return html("table", { class: large ? "matrix large" : "matrix" }, html("caption", {}, caption), html("tbody", {}, ...rows));
  }

  function draw(at) {
    const [example, mask] = [Number(choose.example.value), Number(choose.mask.value)];
    const [whole, seen, said] = [truth[example], observed[mask][example], predictions[at][mask][example]];
    const scale = Math.max(...whole.flat().map(Math.abs)) || 1;
    const hidden = whole.flatMap((row, i) => row.map((entry, j) => (seen[i][j] ? null : (said[i][j] - entry) ** 2))).filter((error) => error !== null);
    byId("matrices").style.setProperty("--columns", whole[0].length);
    byId("matrices").replaceChildren(
      table("what it is given", whole, seen, (i, j) => (seen[i][j] ? whole[i][j] : null), scale),
      table("what it says", whole, seen, (i, j) => said[i][j], scale),
      table("what is true", whole, seen, (i, j) => whole[i][j], scale),
      table("the error", whole, seen, (i, j) => said[i][j] - whole[i][j], scale),
    );
    const mean = hidden.reduce((sum, error) => sum + error, 0) / hidden.length;
    byId("example-error").textContent = hidden.length ? `Mean squared error at its hidden entries: ${mean.toPrecision(2)}.` : "";
  }

  onMoment(draw);
  Object.values(choose).forEach((select) => select.addEventListener("change", () => draw(now)));
}
