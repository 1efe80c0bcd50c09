/** Runs in the browser as /ui/app.js. Plain JavaScript without template literals, for this file is one. */
export const SCRIPT = String.raw`
const byId = (id) => document.getElementById(id);
const create = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const svg = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const number = new Intl.NumberFormat("en");
const MOST_TEXTS = 200;
const MATRIX_TEXTS = 60;
const EXAMPLE = [
  "The cat sleeps on the warm windowsill.",
  "A warm windowsill is where cats sleep.",
  "Shares fell after the central bank raised rates.",
  "When the central bank raises rates, shares fall.",
  "How do I boil an egg?",
  "Bring water to a boil and cook the egg for seven minutes.",
];

let running;

async function call(path, body, signal) {
  const headers = {};
  const key = byId("key").value;
  if (key) headers.authorization = "Bearer " + key;
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers,
    body: body ? JSON.stringify(body) : undefined,
    signal,
  });
  if (response.status === 401) {
    byId("key-row").hidden = false;
    throw new Error("This server asks for an API key.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function texts() {
  const separator = byId("separator").value === "blank" ? /\n\s*\n/ : /\n/;
  return byId("texts").value.split(separator).map((text) => text.trim()).filter((text) => text !== "");
}

function showCount() {
  const count = texts().length;
  byId("count").textContent =
    number.format(count) + (count === 1 ? " text" : " texts") +
    (count > MOST_TEXTS ? "; the first " + MOST_TEXTS + " are taken" : "");
}

function say(message, bad) {
  byId("status").textContent = message;
  byId("status").classList.toggle("bad", Boolean(bad));
}

async function listModels() {
  const select = byId("model");
  const chosen = select.value;
  const { models } = await call("/api/tags");
  select.replaceChildren(
    ...models.map(({ name, details }) => {
      const size = details.embedding_length ? ", " + details.embedding_length + " dimensions" : "";
      const option = create("option", name + " (" + [details.family, details.quantization_level].filter(Boolean).join(" ") + size + ")");
      option.value = name;
      return option;
    }),
  );
  if (models.some(({ name }) => name === chosen)) select.value = chosen;
  if (models.length === 0) say("There is no model on this machine yet. Fetch one with: inlay pull <name>", true);
}

async function compare(event) {
  event.preventDefault();
  const wanted = texts().slice(0, MOST_TEXTS);
  if (wanted.length === 0) return say("Write at least one text.", true);
  running = new AbortController();
  byId("run").disabled = true;
  byId("stop").hidden = false;
  const rows = [];
  const started = performance.now();
  try {
    for (const text of wanted) {
      say("Embedding " + (rows.length + 1) + " of " + wanted.length + " …");
      rows.push(await embed(text, running.signal));
    }
    show(rows, performance.now() - started);
    say(wanted.length === 1 ? "Done." : "Done: " + wanted.length + " texts compared.");
    byId("results").focus({ preventScroll: true });
  } catch (error) {
    if (rows.length > 0) show(rows, performance.now() - started);
    say(error.name === "AbortError" ? "Stopped after " + rows.length + " texts." : error.message, error.name !== "AbortError");
  } finally {
    byId("run").disabled = false;
    byId("stop").hidden = true;
  }
}

async function embed(text, signal) {
  const request = { model: byId("model").value, input: [text] };
  const dimensions = Number(byId("dimensions").value);
  if (dimensions > 0) request.dimensions = dimensions;
  const answer = await call("/api/embed", request, signal);
  const cut = (answer.truncated || []).length > 0;
  let whole = answer.prompt_eval_count;
  if (cut) whole = (await call("/api/tokenize", { model: request.model, input: text }, signal)).counts[0];
  return {
    text,
    vector: Float32Array.from(answer.embeddings[0]),
    tokens: answer.prompt_eval_count,
    whole,
    cut,
    milliseconds: (answer.total_duration - answer.load_duration) / 1e6,
  };
}

const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

function show(rows, elapsed) {
  const gram = rows.map((a) => rows.map((b) => dot(a.vector, b.vector)));
  byId("results").hidden = false;
  showMatrix(rows, gram);
  showMap(rows, gram);
  showList(rows, gram, elapsed);
}

function showMatrix(rows, gram) {
  const shown = Math.min(rows.length, MATRIX_TEXTS);
  let low = 1;
  let high = -1;
  for (let i = 0; i < shown; i++) {
    for (let j = 0; j < i; j++) {
      low = Math.min(low, gram[i][j]);
      high = Math.max(high, gram[i][j]);
    }
  }
  const span = high - low || 1;
  byId("scale-range").textContent = shown < 2 ? "" : low.toFixed(2) + " to " + high.toFixed(2);
  const table = byId("matrix");
  const head = create("tr");
  head.append(create("td"));
  for (let j = 0; j < shown; j++) {
    const cell = create("th", j + 1);
    cell.scope = "col";
    cell.title = rows[j].text;
    head.append(cell);
  }
  const body = [head];
  for (let i = 0; i < shown; i++) {
    const line = create("tr");
    const name = create("th", i + 1);
    name.scope = "row";
    name.title = rows[i].text;
    line.append(name);
    for (let j = 0; j < shown; j++) {
      const cell = create("td", gram[i][j].toFixed(2));
      const heat = Math.max(0, Math.min(1, (gram[i][j] - low) / span));
      cell.style.backgroundColor = "color-mix(in oklab, var(--hot) " + (heat * 100).toFixed(1) + "%, var(--cold))";
      if (heat > 0.55) cell.style.color = "var(--accent-ink)";
      cell.title = rows[i].text + "\n" + rows[j].text;
      line.append(cell);
    }
    body.push(line);
  }
  table.replaceChildren(...body);
}

/** Coordinates along the two greatest principal components, from the centred Gram matrix. */
function components(gram) {
  const count = gram.length;
  const means = gram.map((row) => row.reduce((sum, value) => sum + value, 0) / count);
  const mean = means.reduce((sum, value) => sum + value, 0) / count;
  const centred = gram.map((row, i) => row.map((value, j) => value - means[i] - means[j] + mean));
  const trace = centred.reduce((sum, row, i) => sum + row[i], 0);
  const axes = [];
  let share = 0;
  for (let axis = 0; axis < 2; axis++) {
    let vector = centred.map((_, i) => Math.sin(i * 12.9898 + axis + 1));
    let value = 0;
    for (let step = 0; step < 300; step++) {
      const next = centred.map((row) => dot(row, vector));
      value = Math.hypot(...next);
      if (value < 1e-9) break;
      vector = next.map((x) => x / value);
    }
    if (value < 1e-9) {
      axes.push(centred.map(() => 0));
      continue;
    }
    share += value;
    axes.push(vector.map((x) => x * Math.sqrt(value)));
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) centred[i][j] -= value * vector[i] * vector[j];
  }
  return { axes, share: trace > 1e-9 ? Math.min(1, share / trace) : 1 };
}

function showMap(rows, gram) {
  const map = byId("map");
  const width = Math.max(280, map.clientWidth);
  const height = Math.round(width * 0.75);
  map.setAttribute("viewBox", "0 0 " + width + " " + height);
  const { axes, share } = components(gram);
  const reach = Math.max(1e-6, ...axes[0].map(Math.abs), ...axes[1].map(Math.abs));
  const points = rows.map((_, i) => ({
    x: width * (0.5 + (axes[0][i] / reach) * 0.44),
    y: height * (0.5 - (axes[1][i] / reach) * 0.44),
  }));
  const marks = points.map(({ x, y }, i) => {
    const mark = svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 6 });
    mark.append(svg("title", {}, i + 1 + ": " + rows[i].text));
    return mark;
  });
  map.replaceChildren(
    svg("line", { x1: 0, y1: height / 2, x2: width, y2: height / 2 }),
    svg("line", { x1: width / 2, y1: 0, x2: width / 2, y2: height }),
    ...marks,
    ...labels(rows, points, width),
  );
  byId("map-share").textContent = "They hold " + Math.round(share * 100) + " % of the difference.";
  map.setAttribute("aria-label", "Map of " + rows.length + " texts; the table below names the closest text of each.");
}

/** Labels beside their points, moved up or down where they would lie on another, left out where there is no room. */
function labels(rows, points, width) {
  const taken = points.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  const most = Math.floor(width / 16);
  return points.flatMap(({ x, y }, i) => {
    const short = rows[i].text.length > most ? rows[i].text.slice(0, most - 1) + "…" : rows[i].text;
    const label = rows.length > 24 ? String(i + 1) : i + 1 + " " + short;
    const left = x > width / 2;
    const length = label.length * 6.5;
    for (const shift of [0, -14, 14, -28, 28]) {
      const start = left ? x - 9 - length : x + 9;
      const box = { left: start, right: start + length, top: y + shift - 6, bottom: y + shift + 6 };
      const hit = taken.some((other, j) => {
        return j !== i && box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom;
      });
      if (hit) continue;
      taken.push(box);
      const place = { x: (x + (left ? -9 : 9)).toFixed(1), y: (y + shift + 4).toFixed(1), "text-anchor": left ? "end" : "start" };
      return [svg("text", place, label)];
    }
    return [];
  });
}

function showList(rows, gram, elapsed) {
  const head = create("tr");
  for (const [text, className] of [["#", "number"], ["Text"], ["Tokens", "number"], ["ms", "number"], ["Closest", "number"]]) {
    const cell = create("th", text, className);
    cell.scope = "col";
    head.append(cell);
  }
  const lines = rows.map((row, i) => {
    const line = create("tr");
    const short = row.text.length > 90 ? row.text.slice(0, 89) + "…" : row.text;
    const tokens = create("td", number.format(row.tokens), "number");
    if (row.cut) tokens.append(" ", create("span", "of " + number.format(row.whole) + ", cut", "cut"));
    let closest = -1;
    for (let j = 0; j < rows.length; j++) if (j !== i && (closest < 0 || gram[i][j] > gram[i][closest])) closest = j;
    line.append(
      create("td", i + 1, "number"),
      create("td", short, "text"),
      tokens,
      create("td", row.milliseconds.toFixed(2), "number"),
      create("td", closest < 0 ? "" : closest + 1 + " (" + gram[i][closest].toFixed(2) + ")", "number"),
    );
    return line;
  });
  byId("list").replaceChildren(head, ...lines);
  const tokens = rows.reduce((sum, row) => sum + row.tokens, 0);
  const cut = rows.filter((row) => row.cut).length;
  byId("summary").textContent =
    number.format(tokens) + " tokens, " + rows[0].vector.length + " dimensions, " + Math.round(elapsed) + " ms in all" +
    (cut > 0 ? "; " + cut + (cut === 1 ? " text was" : " texts were") + " cut to the model's context" : "") + ".";
}

const history = Array(60).fill(0);

async function watch() {
  if (document.visibilityState !== "visible") return;
  try {
    const stats = await call("/api/stats");
    byId("requests").textContent = number.format(stats.requests);
    byId("queued").textContent = number.format(stats.queue.texts);
    byId("rate").textContent = number.format(Math.round(stats.tokens_per_second));
    byId("texts-total").textContent = number.format(stats.totals.texts);
    byId("memory").textContent = Math.round((stats.memory.models + stats.memory.workspaces) / 1048576) + " MiB";
    history.push(stats.tokens_per_second);
    history.shift();
    const most = Math.max(1, ...history);
    const points = history.map((rate, i) => ((i / 59) * 120).toFixed(1) + "," + (30 - (rate / most) * 28).toFixed(1));
    document.querySelector("#history polyline").setAttribute("points", points.join(" "));
  } catch {
    for (const id of ["requests", "queued", "rate"]) byId(id).textContent = "–";
  }
}

byId("texts").value = EXAMPLE.join("\n");
byId("texts").addEventListener("input", showCount);
byId("separator").addEventListener("change", showCount);
byId("form").addEventListener("submit", compare);
byId("stop").addEventListener("click", () => running.abort());
byId("key").addEventListener("change", () => listModels().then(() => say("Ready."), (error) => say(error.message, true)));
showCount();
listModels().catch((error) => say(error.message, true));
watch();
setInterval(watch, 2000);
document.addEventListener("visibilitychange", watch);
`;
