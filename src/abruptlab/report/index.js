// The curves of one family at a time, the boxes that switch its variants on and off, and the rows of the table.

{
  const { runs, families, axes } = JSON.parse(byId("data").textContent);
  const rows = [...document.querySelectorAll("#table tbody tr")];
  const colour = (index) => `var(--c${index % 7})`;
  const PAD = { left: 52, right: 14, top: 10, bottom: 44 };
  const SETTLED = 1 / 50; // the first steps, before zero is predicted, would take half of the room
  const off = new Set(); // labels that are switched off, of the family that is shown
  let family = families[0];

  const number = (value) => (value === null ? "–" : Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 12 }));
  const shown = () => runs.map((run, index) => ({ ...run, index })).filter((run) => run.family === family);
  const labels = () => [...new Set(shown().map((run) => run.label))];
  const steps = (run) => Math.max(1, run.step - 1); // the step of a curve's last point

  function draw() {
    const curves = shown().filter((run) => run.curve.length && !off.has(run.label));
    const width = byId("chart").clientWidth || 600;
    const height = Math.max(260, Math.min(460, width * 0.5));
    const [right, bottom] = [width - PAD.right, height - PAD.bottom];
    const settled = curves.flatMap((run) => run.curve.filter((value, index) => value && index > SETTLED * run.curve.length));
    const low = Math.min(0.9, ...settled) / 1.15;
    const high = 1.3 * Math.max(...settled, low * 2);
    const last = Math.max(1, ...curves.map(steps));
    const x = scale([0, last], [PAD.left, right]);
    const y = scale([low, high], [bottom, PAD.top], true);
    const figure = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Curves: ${family}` });
    const inside = svg("rect", { x: PAD.left, y: PAD.top, width: right - PAD.left, height: bottom - PAD.top });
    figure.append(svg("clipPath", { id: "inside" }, inside));
    const across = (name, level) => svg("line", { class: name, x1: PAD.left, x2: right, y1: y(level), y2: y(level) });
    for (const level of ticks([low, high], true)) {
      figure.append(across("grid", level), svg("text", { x: PAD.left - 8, y: y(level) + 4, "text-anchor": "end" }, asText(level)));
    }
    for (const step of ticks([0, last], false, Math.max(2, width / 110))) {
      figure.append(svg("text", { x: x(step), y: bottom + 20, "text-anchor": "middle" }, asText(step)));
    }
    figure.append(svg("text", { x: x(last / 2), y: height - 4, "text-anchor": "middle" }, "training step"));
    byId("dashed").hidden = axes[family].trivial === null;
    byId("dashed").textContent = `; dashed: ${axes[family].trivial}`;
    if (axes[family].trivial !== null) figure.append(across("zero", 1));
    for (const run of curves) {
      const points = run.curve.map((value, index) => [(index / Math.max(1, run.curve.length - 1)) * steps(run), value]);
      const line = { d: path(points, x, y), "clip-path": "url(#inside)" };
      const opens = run.page ? { href: run.page } : { role: "img", tabindex: 0 };
      const group = svg(run.page ? "a" : "g", { class: "curve", "data-run": run.index, "aria-label": about(run), ...opens },
        svg("path", { ...line, class: "reach" }),
        svg("path", { ...line, class: "line", stroke: colour(labels().indexOf(run.label)) }));
      for (const event of ["pointerenter", "focus"]) group.addEventListener(event, () => choose(run.index));
      figure.append(group);
    }
    byId("chart").replaceChildren(figure);
    byId("axis").textContent = axes[family].name;
  }

  function about(run) {
    const drop = run.onset === null ? "no drop" : `drop from step ${grouped(run.onset)}, ${number(run.depth)} times lower`;
    return `${run.label}, seed ${run.seed}: ${drop}, final loss ${number(run.final)}`;
  }

  function choose(index) {
    const run = runs[index];
    byId("about").textContent = `${about(run)}. ${run.page ? "A click opens its page." : `It has no page yet: ${run.command}`}`;
    for (const element of document.querySelectorAll("[data-run]"))
      element.classList.toggle("chosen", Number(element.dataset.run) === index);
  }

  function showFamily() {
    off.clear();
    byId("labels").replaceChildren(byId("labels").firstElementChild);
    labels().forEach((label, index) => {
      const box = html("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        off[box.checked ? "delete" : "add"](label);
        draw();
      });
      byId("labels").append(html("label", {}, box, html("span", { class: "swatch", style: `border-color: ${colour(index)}` }), label));
    });
    rows.forEach((row, index) => (row.hidden = runs[index].family !== family));
    draw();
  }

  byId("families").addEventListener("change", (event) => {
    family = families[Number(event.target.value)];
    showFamily();
  });
  rows.forEach((row, index) => {
    for (const event of ["pointerenter", "focusin"]) row.addEventListener(event, () => choose(index));
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a")) row.querySelector("a")?.click();
    });
  });
  byId("families").querySelectorAll("input").forEach((input) => (input.checked = input.value === "0")); // not what a reload kept
  new ResizeObserver(() => byId("chart").clientWidth !== byId("chart").firstElementChild?.clientWidth && draw()).observe(byId("chart"));
  showFamily();
}
