// Elements, numbers as text, colours. Whatever a file named goes through textContent and nothing else.

/** An element with attributes, listeners (on…) and children; strings among the children become text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
}

/** A number in about three digits. */
function numberText(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "∞";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (Number.isInteger(value) && size < 1e5) return String(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential(1).replace("e+", "e");
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}\u00a0M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}\u00a0k`;
  return String(+value.toPrecision(3));
}

function percentText(share) {
  return share === null || share === undefined ? "–" : `${numberText(100 * share)}\u00a0%`;
}

/** The next of 1, 2, 5, 10, … so that a scale ends with a number that can be read. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9));
}

function secondsText(seconds) {
  if (seconds < 99.5) return `${+seconds.toPrecision(3)}\u00a0s`;
  return seconds < 5970 ? `${Math.round(seconds / 60)}\u00a0min` : `${(seconds / 3600).toFixed(1)}\u00a0h`;
}

/** Any value of a settings tree as text. */
function plainText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : numberText(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length ? value.map(plainText).join(", ") : "none";
  return JSON.stringify(value);
}

/** Names and values as a list; values that hold more become lists of their own. */
function valueList(values) {
  const list = el("dl", { class: "values" });
  for (const [name, value] of Object.entries(values)) {
    const nested = value && typeof value === "object" && !Array.isArray(value);
    list.append(
      el("dt", { text: name.replaceAll("_", " ") }),
      el("dd", {}, nested ? valueList(value) : el("span", { class: "name", text: plainText(value) })),
    );
  }
  return list;
}

function folded(title, content, open = false) {
  return el("details", { open }, el("summary", { text: title }), content);
}

function table(rows, titles = null, options = {}) {
  const keys = titles ? Object.keys(titles) : [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const numeric = (key) => rows.some((row) => typeof row[key] === "number");
  const head = keys.map((key) => el("th", { scope: "col", class: numeric(key) ? "number" : null,
    text: titles ? titles[key] : key.replaceAll("_", " ") }));
  const body = rows.map((row) => el("tr", {}, keys.map((key) => {
    const value = row[key];
    if (value instanceof Node) return el("td", {}, value);
    const text = typeof value === "number" ? numberText(value) : plainText(value);
    return el("td", { class: numeric(key) ? "number" : null }, el("span", { class: "name", text }));
  })));
  const made = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  if (options.caption) made.prepend(el("caption", { text: options.caption }));
  return el("div", { class: "wide" }, made);
}

/** The colours of amounts, as the rest of the program has them: 256 of them as linear RGB, for the shapes. */
const RAMP = new Float32Array(768);
let RAMP_CSS = [];
let NOT_THERE = [0.3, 0.3, 0.3];
let CAPTURED = [0.3, 0.5, 0.7];
let PLAIN = [0.5, 0.5, 0.5];

function linearFromByte(byte) {
  const x = byte / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}

function useColours({ ramp: stops, missing, captured, solved }) {
  CAPTURED = captured.map(linearFromByte);
  PLAIN = solved.map(linearFromByte);
  RAMP_CSS = stops.map((stop) => `rgb(${stop.join(" ")})`);
  NOT_THERE = missing.map(linearFromByte);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const before = Math.min(stops.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++)
      RAMP[3 * i + c] = linearFromByte(stops[before][c] * (1 - place + before) + stops[before + 1][c] * (place - before));
  }
}

function styleValue(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
