// A line plot that fits its box and is drawn again when that changes.

const MARGIN = { top: 14, right: 14, bottom: 38, left: 56 };

function scale(domain, range, log) {
  const along = log ? Math.log10 : (value) => value;
  const [low, high] = domain.map(along);
  return (value) => range[0] + ((along(value) - low) / (high - low || 1)) * (range[1] - range[0]);
}

function ticks([low, high], log, most) {
  if (log) {
    const digits = high / low > 100 ? [1] : [1, 2, 5];
    const powers = Array.from({ length: 2 + Math.log10(high / low) }, (_, at) => 10 ** (Math.floor(Math.log10(low)) + at));
    return powers.flatMap((power) => digits.map((digit) => digit * power)).filter((tick) => tick >= low && tick <= high);
  }
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step / 1e6; at += 1) found.push(at * step);
  return found;
}

const nameThatFits = (name, pixels) => (pixels > 66 ? name : name.replace("layer ", "").replace("embedding", "emb."));

const asText = (value) => (Math.abs(value) >= 1000 ? grouped(value) : `${Number(value.toPrecision(4))}`.replace("-", "−"));

function path(points, x, y) {
  let pen = "M";
  const parts = [];
  for (const [across, up] of points) {
    if (up === null || Number.isNaN(up)) {
      pen = "M";
    } else {
      parts.push(`${pen}${x(across).toFixed(1)},${y(up).toFixed(1)}`);
      pen = "L";
    }
  }
  return parts.join("");
}

// chart: { label, x: {domain, label, names?}, y: {domain, label, log?},
//          lines: [{name, colour, points, width?, dash?, opacity?}], area?: {points: [[x, low, high]], colour},
//          band?: [from, to], level?: {value, name}, notes?: [{at, name, anchor, room?: [from, to]}] }
// Returns { update(chart), cursor(x, dots), valueAt(pixel) }.
function plot(container, chart) {
  let x, y;
  let cursorAt = null;
  const cursor = svg("g");

  function draw() {
    const { width, height } = container.getBoundingClientRect();
    if (!width) return;
    const inner = { right: width - MARGIN.right, bottom: height - MARGIN.bottom };
    x = scale(chart.x.domain, [MARGIN.left, inner.right]);
    y = scale(chart.y.domain, [inner.bottom, MARGIN.top], chart.y.log);
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.label });
    if (chart.band) {
      const [from, to] = chart.band.map(x);
      root.append(svg("rect", { class: "drop", x: from, y: MARGIN.top, width: Math.max(1, to - from), height: inner.bottom - MARGIN.top }));
    }
    root.append(svg("path", { class: "frame", d: `M${MARGIN.left},${MARGIN.top}V${inner.bottom}H${inner.right}` }));
    const across = chart.x.names ? chart.x.names.map((_, at) => at) : ticks(chart.x.domain, false, Math.max(2, width / 110));
    for (const value of across) {
      const last = x(value) > inner.right - 20;
      const anchor = last && !chart.x.names ? "end" : "middle";
      root.append(svg("path", { class: "frame", d: `M${x(value)},${inner.bottom}v4` }));
      const name = chart.x.names ? nameThatFits(chart.x.names[value], width / across.length) : asText(value);
      root.append(svg("text", { x: x(value), y: inner.bottom + 17, "text-anchor": anchor }, name));
    }
    for (const value of ticks(chart.y.domain, chart.y.log, 5)) {
      root.append(svg("path", { class: "frame", d: `M${MARGIN.left - 4},${y(value)}h4` }));
      root.append(svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, asText(value)));
    }
    root.append(svg("text", { x: inner.right, y: height - 3, "text-anchor": "end" }, chart.x.label));
    root.append(svg("text", { x: 0, y: 9 }, chart.y.label));
    if (chart.level) {
      const at = y(chart.level.value);
      root.append(svg("path", { d: `M${MARGIN.left},${at}H${inner.right}`, stroke: "var(--soft)", "stroke-dasharray": "5 4" }));
      root.append(svg("text", { x: inner.right, y: at - 5, "text-anchor": "end" }, chart.level.name));
    }
    if (chart.area) {
      const there = chart.area.points.filter(([, low, high]) => low !== null && high !== null);
      const outline = [...there.map(([at, , high]) => [at, high]), ...there.map(([at, low]) => [at, low]).reverse()];
      root.append(svg("path", { d: path(outline, x, y) + "Z", fill: chart.area.colour, opacity: 0.22 }));
    }
    for (const line of chart.lines) {
      root.append(svg("path", {
        class: "line", d: path(line.points, x, y), fill: "none", stroke: ink(line.colour), "stroke-width": line.width ?? 1.8,
        "stroke-dasharray": line.dash, opacity: line.opacity, "stroke-linejoin": "round",
      }, svg("title", {}, line.name)));
    }
    for (const { at, name, anchor, room } of chart.notes ?? []) {
      if (room && x(room[1]) - x(room[0]) < 120) continue;
      root.append(svg("text", { class: "note", x: x(at) + (anchor === "end" ? -4 : 4), y: MARGIN.top + 10, "text-anchor": anchor }, name));
    }
    root.append(cursor);
    container.replaceChildren(root);
    if (cursorAt) place(...cursorAt);
  }

  function place(value, dots) {
    cursorAt = [value, dots];
    if (!x) return;
    const line = svg("path", { class: "cursor", d: `M${x(value)},${y(chart.y.domain[1])}V${y(chart.y.domain[0])}` });
    const points = dots.filter((dot) => dot.value !== null);
    cursor.replaceChildren(line, ...points.map((dot) => svg("circle", { cx: x(value), cy: y(dot.value), r: 4, fill: ink(dot.colour) })));
  }

  new ResizeObserver(draw).observe(container);
  draw();
  return {
    update(changed) {
      Object.assign(chart, changed);
      draw();
    },
    cursor: place,
    valueAt(pixel) {
      const { left, width } = container.getBoundingClientRect();
      const [low, high] = chart.x.domain;
      return low + ((pixel - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (high - low);
    },
  };
}
