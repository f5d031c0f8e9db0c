const read = (id) => JSON.parse(document.getElementById(id).textContent);
const facts = read("facts"), specs = read("charts");
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => {
  const get = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = get("--ink"), line = get("--line");
  return { font: "system-ui, sans-serif", view: { stroke: "transparent" }, rule: { color: ink }, tick: { color: ink },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11 },
    legend: { labelColor: ink, titleColor: ink }, header: { labelColor: ink } };
};
const views = {};
const datasets = () => {
  if (!select) return {};
  const here = facts.methods[select.value][slider.value];
  const chosen = (of) => Object.keys(facts.methods).map((name) => ({ method: name, point: nearest(name, here.alpha) }))
    .map(({ method, point }) => ({ method, alpha: point.alpha, ID: point.id, y: point[of] }));
  const gains = here.gains.map((g) => ({ name: g.name, role: words[g.role], gain: 100 * g.gain,
    low: 100 * (g.gain - (g.error ?? 0)), high: 100 * (g.gain + (g.error ?? 0)) }));
  return { frontier_ood: { chosen: chosen("ood") }, frontier_kept: { chosen: chosen("kept") }, gains: { gains } };
};
// the colours of the methods, as light on a dark page as they are dark on a light one
const lighter = { "#0072B2": "#4AA8E8", "#009E73": "#2EC49A", "#D55E00": "#FF8A45", "#767676": "#A9A9A9", "#666666": "#A9A9A9",
  "#8C510A": "#D0975A", "#4B0092": "#B995F0", "#000000": "#E0E0E0", "#A6761D": "#D9AE5F", "#117733": "#55BD78" };
const coloured = (spec) => !dark.matches ? spec : JSON.parse(JSON.stringify(spec), (_, value) => lighter[value] ?? value);
const draw = async () => {
  const data = datasets();
  for (const place of document.querySelectorAll("[data-chart]")) {
    const name = place.dataset.chart;
    const spec = { ...coloured(specs[name]), config: { ...specs[name].config, ...theme() } };
    if (name in data) spec.datasets = { ...spec.datasets, ...data[name] };
    if (views[name]) views[name].finalize();
    const { view } = await vegaEmbed(place, spec, { actions: false, renderer: "svg", ast: true });
    views[name] = view;
  }
};

const words = { id: "in distribution", ood: "out of distribution", transfer: "kept" };
const slider = document.getElementById("alpha"), select = document.getElementById("method");
// as Python rounds: x.25 and x.75 to the even digit, where toFixed rounds up
const fixed = (value) => {
  const tenths = Math.floor(10 * value), isTie = Number.isInteger(4 * value) && !Number.isInteger(2 * value);
  return isTie ? ((tenths + tenths % 2) / 10).toFixed(1) : value.toFixed(1);
};
const percent = (value) => value === null ? "" : fixed(100 * value);
const points = (value, error) => {
  const size = `${value < -5e-5 ? "\u2212" : "+"}${fixed(Math.abs(100 * value))}`;
  return error === null ? size : `${size} \u00b1 ${fixed(100 * error)}`;
};
const nearest = (method, alpha) => facts.methods[method].reduce((best, point) =>
  Math.abs(point.alpha - alpha) < Math.abs(best.alpha - alpha) ? point : best);
const toChosen = () => {
  const list = facts.methods[select.value].map((point) => point.alpha);
  slider.max = list.length - 1;
  slider.value = list.indexOf(nearest(select.value, facts.chosen[select.value]).alpha);
};
const fill = (id, rows, selected) => document.getElementById(id).replaceChildren(...rows.map((texts, number) => {
  const line = document.createElement("tr");
  if (number === selected) line.className = "selected";
  texts.forEach((text, column) => {
    const cell = document.createElement(column === 0 ? "th" : "td");
    if (column === 0) cell.scope = "row";
    cell.textContent = text;
    line.append(cell);
  });
  return line;
}));

const update = () => {
  const method = select.value, here = facts.methods[method][slider.value], alpha = here.alpha;
  document.getElementById("shown").value = alpha.toFixed(2);
  slider.setAttribute("aria-valuetext", `alpha ${alpha.toFixed(2)}`);
  const all = Object.keys(facts.methods).map((name) => ({ method: name, ...nearest(name, alpha) }));
  for (const [chart, data] of Object.entries(datasets()))
    for (const [name, values] of Object.entries(data)) if (views[chart]) views[chart].data(name, values).runAsync();
  fill("set-rows", here.gains.map((g) => [g.name, words[g.role], percent(g.value), points(g.gain, g.error)]));
  const rows = [{ method: "zero-shot", alpha: null, ...facts.zeroShot }, ...all];
  fill("rows", rows.map((row) => [row.method, row.alpha === null ? "" : row.alpha.toFixed(2), percent(row.id), percent(row.ood), percent(row.kept)]),
    rows.findIndex((row) => row.method === method));
  document.getElementById("sentence").textContent = sentence(method, here);
};

const sentence = (method, here) => {
  const zero = facts.zeroShot;
  const moved = (value, from, error) => {
    const gain = value - from, size = `${fixed(Math.abs(100 * gain))}${error === null ? "" : ` \u00b1 ${fixed(100 * error)}`}`;
    return `${gain < -5e-5 ? "loses" : "gains"} ${size}`;
  };
  const parts = [`${moved(here.id, zero.id, here.errors.id)} points of ${facts.figure} in distribution`];
  if (here.ood !== null) parts.push(`${moved(here.ood, zero.ood, here.errors.ood)} out of distribution`);
  if (here.kept !== null) parts.push(`${moved(here.kept, zero.kept, here.errors.transfer)} on tasks that were not trained`);
  const last = parts.pop();
  const listed = parts.length ? `${parts.join(", ")} and ${last}` : last;
  const known = here.errors.id !== null ? " Numbers after \u00b1 are 95 % intervals over the test images." : "";
  return `At alpha ${here.alpha.toFixed(2)}, ${method} ${listed}, compared with the zero-shot model.${known}`;
};

if (select) {
  select.addEventListener("change", () => { toChosen(); update(); });
  slider.addEventListener("input", update);
  document.getElementById("reset").addEventListener("click", () => { toChosen(); update(); });
  toChosen();
  update();
}
const start = async () => {
  await draw();
  if (select) update();
  document.body.dataset.ready = "yes";
};
dark.addEventListener("change", start);
start();
