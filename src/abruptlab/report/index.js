"use strict";
// The curves of one family at a time, the boxes that switch its variants on and off, and the rows of the table.
(() => {
  const { runs, families, axes } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const rows = [...document.querySelectorAll("#table tbody tr")];
  const colour = (index) => `var(--c${index % 7})`;
  const PAD = { left: 52, right: 14, top: 10, bottom: 44 };
  const SETTLED = 1 / 50; // the first steps, before zero is predicted, would take half of the room
  const off = new Set(); // labels that are switched off, of the family that is shown
  let family = families[0];

  const svg = (name, attributes, parent) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent?.append(element);
    return element;
  };
  const number = (value) => (value === null ? "–" : Number(value.toPrecision(3)).toLocaleString("en"));
  const shown = () => runs.map((run, index) => ({ ...run, index })).filter((run) => run.family === family);
  const labels = () => [...new Set(shown().map((run) => run.label))];
  const steps = (run) => Math.max(1, run.step - 1); // the step of a curve's last point

  function levels(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const digit of high / low > 100 ? [1] : [1, 2, 5]) ticks.push(digit * 10 ** power);
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  function times(last, room) {
    const wanted = last / Math.max(2, Math.floor(room / 90)), power = 10 ** Math.floor(Math.log10(wanted));
    const apart = [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= wanted);
    return Array.from({ length: Math.floor(last / apart) + 1 }, (_, index) => index * apart);
  }

  function draw() {
    const curves = shown().filter((run) => run.curve.length && !off.has(run.label));
    const width = at("chart").clientWidth || 600, height = Math.max(260, Math.min(460, width * 0.5));
    const figure = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Curves: ${family}` });
    const settled = curves.flatMap((run) => run.curve.filter((value, index) => value && index > SETTLED * run.curve.length));
    const low = Math.min(0.9, ...settled) / 1.15, high = 1.3 * Math.max(...settled, low * 2);
    const last = Math.max(1, ...curves.map(steps));
    const x = (step) => PAD.left + (step / last) * (width - PAD.left - PAD.right);
    const y = (value) => PAD.top + (Math.log(high / value) / Math.log(high / low)) * (height - PAD.top - PAD.bottom);
    const clip = svg("clipPath", { id: "inside" }, figure);
    svg("rect", { x: PAD.left, y: PAD.top, width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom }, clip);
    for (const level of levels(low, high)) {
      svg("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(level), y2: y(level) }, figure);
      svg("text", { x: PAD.left - 8, y: y(level) + 4, "text-anchor": "end" }, figure).textContent = String(level);
    }
    for (const step of times(last, width - PAD.left))
      svg("text", { x: x(step), y: height - PAD.bottom + 20, "text-anchor": "middle" }, figure).textContent = step.toLocaleString("en");
    svg("text", { x: x(last / 2), y: height - 4, "text-anchor": "middle" }, figure).textContent = "training step";
    at("dashed").hidden = !axes[family].zero;
    if (axes[family].zero)
      svg("line", { class: "zero", x1: PAD.left, x2: width - PAD.right, y1: y(1), y2: y(1) }, figure);
    for (const run of curves) {
      const group = svg(run.page ? "a" : "g", { class: "curve", "data-run": run.index, "aria-label": about(run) }, figure);
      for (const [key, value] of run.page ? [["href", run.page]] : [["role", "img"], ["tabindex", "0"]]) group.setAttribute(key, value);
      const points = run.curve.map((value, index) => [x((index / Math.max(1, run.curve.length - 1)) * steps(run)), value]);
      const path = points.filter(([, value]) => value).map(([left, value]) => `${left.toFixed(1)},${y(value).toFixed(1)}`);
      const line = { d: `M${path.join("L")}`, "clip-path": "url(#inside)" };
      svg("path", { ...line, class: "reach" }, group);
      svg("path", { ...line, class: "line", stroke: colour(labels().indexOf(run.label)) }, group);
      for (const event of ["pointerenter", "focus"]) group.addEventListener(event, () => choose(run.index));
    }
    at("chart").replaceChildren(figure);
    at("axis").textContent = axes[family].name;
  }

  function about(run) {
    const drop = run.onset === null ? "no drop" : `drop from step ${run.onset.toLocaleString("en")}, ${number(run.depth)} times lower`;
    return `${run.label}, seed ${run.seed}: ${drop}, final loss ${number(run.final)}`;
  }

  function choose(index) {
    const run = runs[index];
    at("about").textContent = `${about(run)}. ${run.page ? "A click opens its page." : `It has no page yet: abruptlab report ${run.folder}`}`;
    for (const element of document.querySelectorAll("[data-run]"))
      element.classList.toggle("chosen", Number(element.dataset.run) === index);
  }

  function showFamily() {
    off.clear();
    at("labels").replaceChildren(at("labels").firstElementChild);
    labels().forEach((label, index) => {
      const entry = document.createElement("label"), box = document.createElement("input"), swatch = document.createElement("span");
      Object.assign(box, { type: "checkbox", checked: true });
      swatch.className = "swatch";
      swatch.style.borderColor = colour(index);
      box.addEventListener("change", () => {
        off[box.checked ? "delete" : "add"](label);
        draw();
      });
      entry.append(box, swatch, label);
      at("labels").append(entry);
    });
    rows.forEach((row, index) => (row.hidden = runs[index].family !== family));
    draw();
  }

  at("families").addEventListener("change", (event) => {
    family = families[Number(event.target.value)];
    showFamily();
  });
  rows.forEach((row, index) => {
    for (const event of ["pointerenter", "focusin"]) row.addEventListener(event, () => choose(index));
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a")) row.querySelector("a")?.click();
    });
  });
  at("families").querySelectorAll("input").forEach((input) => (input.checked = input.value === "0")); // not what a reload kept
  new ResizeObserver(() => at("chart").clientWidth !== at("chart").firstElementChild?.clientWidth && draw()).observe(at("chart"));
  showFamily();
})();
