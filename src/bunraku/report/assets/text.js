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
  if (size >= 1e9 || size < 1e-4) return value.toExponential(1).replace("e+", "e");
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`;
  return String(+value.toPrecision(3));
}

function percentText(share) {
  return share === null || share === undefined ? "–" : `${numberText(100 * share)} %`;
}

function secondsText(seconds) {
  if (seconds < 99.5) return `${+seconds.toPrecision(3)} s`;
  return seconds < 5970 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
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

/** OKLab to linear sRGB (Ottosson 2020). */
function linearFromOklab(L, a, b) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((x) => Math.min(1, Math.max(0, x)));
}

/** Blue to yellow with evenly growing lightness: read alike with any colour vision, and in grey. 256 linear colours. */
const RAMP = (() => {
  const ramp = new Float32Array(768);
  for (let i = 0; i < 256; i++) {
    const t = i / 255;
    const L = 0.4 + 0.5 * t;
    const a = -0.02 + 0.06 * t * (1 - t);
    const b = -0.1 + 0.27 * t;
    ramp.set(linearFromOklab(L, a, b), 3 * i);
  }
  return ramp;
})();
const NOT_THERE = linearFromOklab(0.62, 0, 0);
const PLAIN = linearFromOklab(0.7, -0.01, -0.02);

function cssFromLinear(r, g, b) {
  const byte = (x) => Math.round(255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));
  return `rgb(${byte(r)} ${byte(g)} ${byte(b)})`;
}

function rampCss(t) {
  const i = 3 * Math.min(255, Math.max(0, Math.round(255 * t)));
  return cssFromLinear(RAMP[i], RAMP[i + 1], RAMP[i + 2]);
}

function styleValue(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
