// Small line charts on a canvas: few marks, direct labels, a line that shows where one is, a click that goes there.

function ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  if (!(rough > 0)) return [low];
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * decade).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

/**
 * A chart. spec: {label, height, x, series: [{name, y, colour, width, dots: [[x], [y]]}], levels: [{name, y, colour}],
 * band: [low, high], xText, yText, xName, onPick, zero, slim}
 */
class Chart {
  constructor(spec) {
    this.spec = spec;
    this.marker = null;
    this.canvas = el("canvas", { role: "img", "aria-label": spec.label });
    this.readout = el("span", { class: "readout" });
    this.cursor = el("div", { class: "cursor", hidden: true });
    this.element = el("div", { class: spec.slim ? "chart slim" : "chart" }, this.canvas, this.cursor);
    this.canvas.style.height = `${spec.height}px`;
    if (spec.onPick) this.canvas.classList.add("pick");
    this.canvas.addEventListener("pointerdown", (event) => this.pick(event));
    this.canvas.addEventListener("pointermove", (event) => {
      this.hover = this.valueAt(event);
      this.read(this.hover);
      if (event.buttons && spec.onPick) this.pick(event);
    });
    this.canvas.addEventListener("pointerleave", () => this.read(this.marker));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  set(changes) {
    Object.assign(this.spec, changes);
    this.draw();
  }

  /** Show where one is. */
  mark(x) {
    if (x === this.marker) return;
    this.marker = x;
    this.read(x);
    this.place();
  }

  /** The line that shows where one is: moved by itself, so that nothing need be drawn again. */
  place() {
    const width = this.canvas.clientWidth;
    if (this.marker === null || !width || this.high === undefined) return;
    this.cursor.hidden = false;
    const share = (this.marker - this.low) / (this.high - this.low);
    this.cursor.style.transform = `translateX(${this.left + (width - this.left - this.right) * share}px)`;
  }

  valueAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - this.left) / Math.max(1, box.width - this.left - this.right);
    return this.low + Math.min(1, Math.max(0, share)) * (this.high - this.low);
  }

  pick(event) {
    if (!this.spec.onPick) return;
    event.preventDefault();
    this.spec.onPick(this.valueAt(event));
  }

  /** The values at x in words. */
  read(x) {
    const { spec } = this;
    if (x === null || x === undefined || !spec.series.length) return;
    const i = Math.round(placeOf(spec.x, x));
    const parts = spec.series.filter((s) => s.name).map((s) => `${s.name} ${(spec.yText || numberText)(s.y[i])}`);
    this.readout.textContent = `${(spec.xText || numberText)(spec.x[i])}: ${parts.join(" · ")}`;
  }

  bounds() {
    const { spec } = this;
    let low = Infinity;
    let high = -Infinity;
    const take = (y) => {
      if (y !== null && Number.isFinite(y)) {
        if (y < low) low = y;
        if (y > high) high = y;
      }
    };
    for (const s of spec.series) {
      for (const y of s.y) take(y);
      if (s.dots) for (const y of s.dots[1]) take(y);
    }
    for (const level of spec.levels || []) if (!level.outside) take(level.y);
    if (spec.zero) take(0);
    if (spec.top !== undefined) take(spec.top);
    if (low === Infinity) [low, high] = [0, 1];
    if (high - low < 1e-12 * Math.max(1, Math.abs(high))) [low, high] = spec.zero ? [0, Math.max(high, 1e-12)] : [low - 0.5, high + 0.5];
    const pad = 0.06 * (high - low);
    if (spec.slim) [low, high] = [low - pad, high + pad];
    else if (spec.top === undefined) high += pad;
    return [low, high];
  }

  draw() {
    const { spec, canvas } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const scale = Math.min(2, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = `11px ${styleValue("--font")}`;
    const faint = styleValue("--faint");
    const line = styleValue("--line");
    const [bottom, top] = this.bounds();
    const yText = spec.yText || numberText;
    const marks = spec.slim ? [] : ticks(bottom, top, Math.max(2, Math.floor(height / 45)));
    this.left = spec.slim ? 0 : Math.max(28, ...marks.map((y) => g.measureText(yText(y)).width + 8));
    this.right = spec.slim ? 0 : 8;
    const floor = height - (spec.slim ? 1 : 20);
    const ceiling = spec.slim ? 1 : 8;
    this.low = spec.x[0];
    this.high = spec.x[spec.x.length - 1] === this.low ? this.low + 1 : spec.x[spec.x.length - 1];
    const X = (x) => this.left + ((width - this.left - this.right) * (x - this.low)) / (this.high - this.low);
    const Y = (y) => floor - ((floor - ceiling) * (y - bottom)) / (top - bottom);
    g.lineWidth = 1;
    g.textBaseline = "middle";
    for (const y of marks) {
      g.strokeStyle = line;
      g.beginPath();
      g.moveTo(this.left, Math.round(Y(y)) + 0.5);
      g.lineTo(width - this.right, Math.round(Y(y)) + 0.5);
      g.stroke();
      g.fillStyle = faint;
      g.textAlign = "right";
      g.fillText(yText(y), this.left - 5, Y(y));
    }
    if (!spec.slim) {
      g.fillStyle = faint;
      g.textBaseline = "alphabetic";
      for (const x of ticks(this.low, this.high, Math.floor(width / 90))) {
        const text = (spec.xTick || spec.xText || numberText)(x);
        const half = g.measureText(text).width / 2;
        g.textAlign = "center";
        g.fillText(text, Math.min(width - half, Math.max(half, X(x))), height - 4);
      }
    }
    if (spec.band) {
      g.fillStyle = styleValue("--band");
      const upper = Math.max(ceiling, Math.min(floor, Y(spec.band[1])));
      g.fillRect(this.left, upper, width - this.left - this.right, Math.max(0, Math.min(floor, Y(spec.band[0])) - upper));
    }
    let placed = [];
    for (const level of spec.levels || []) {
      if (level.y === null || level.y < bottom || level.y > top) continue;
      g.strokeStyle = styleValue(level.colour || "--faint");
      g.setLineDash(level.dash || [4, 4]);
      g.beginPath();
      g.moveTo(this.left, Y(level.y));
      g.lineTo(width - this.right, Y(level.y));
      g.stroke();
      g.setLineDash([]);
      if (level.name && !spec.slim) placed = this.nameLevel(g, level, Y(level.y), width, ceiling, placed);
    }
    for (const s of spec.series) this.line(g, s, X, Y, width);
    this.place();
  }

  /** The name of a level at the right, further left where another one is in its way. */
  nameLevel(g, level, y, width, ceiling, placed) {
    const own = g.measureText(level.name).width;
    const down = y < ceiling + 14 ? y + 12 : y - 4;
    let right = width - this.right - 2;
    for (const other of placed) if (Math.abs(other.down - down) < 13) right = Math.min(right, other.left - 14);
    g.fillStyle = styleValue(level.colour || "--faint");
    g.textAlign = "right";
    g.textBaseline = "alphabetic";
    g.fillText(level.name, right, down);
    return [...placed, { down, left: right - own }];
  }

  /** Of more points than pixels the least and the greatest of each column are drawn. */
  line(g, s, X, Y, width) {
    const { x } = this.spec;
    g.strokeStyle = g.fillStyle = styleValue(s.colour || "--series-1");
    g.lineWidth = s.width || 1.5;
    g.setLineDash(s.dash || []);
    g.lineJoin = "round";
    g.beginPath();
    let pen = false;
    const dense = x.length > 3 * width;
    let column = -1;
    let low = 0;
    let high = 0;
    const flush = () => {
      if (column < 0) return;
      pen ? g.lineTo(column, Y(low)) : g.moveTo(column, Y(low));
      g.lineTo(column, Y(high));
      pen = true;
    };
    for (let i = 0; i < x.length; i++) {
      const y = s.y[i];
      if (y === null || y === undefined || !Number.isFinite(y)) {
        pen = dense ? pen : false;
        continue;
      }
      if (!dense) {
        pen ? g.lineTo(X(x[i]), Y(y)) : g.moveTo(X(x[i]), Y(y));
        pen = true;
        continue;
      }
      const here = Math.round(X(x[i]));
      if (here !== column) {
        flush();
        column = here;
        low = high = y;
      } else {
        low = Math.min(low, y);
        high = Math.max(high, y);
      }
    }
    if (dense) flush();
    g.stroke();
    g.setLineDash([]);
    if (s.dots) {
      const size = this.spec.slim ? 2 : 3;
      for (let i = 0; i < s.dots[0].length; i++) {
        g.beginPath();
        g.arc(X(s.dots[0][i]), Y(s.dots[1][i]), size, 0, 2 * Math.PI);
        g.fill();
      }
    }
  }
}

/** A chart with its title, what it means, a legend and a readout. */
function chartBlock(title, about, chart, extra = []) {
  const legend = chart.spec.series.length > 1 && !chart.spec.noLegend
    ? el("ul", { class: "legend" }, chart.spec.series.map((s) => {
        const key = el("i", {});
        key.style.background = `var(${s.colour || "--series-1"})`;
        return el("li", {}, key, s.name);
      }))
    : null;
  return el("section", { class: "block" },
    el("div", { class: "head" }, el("h2", { text: title }), ...extra),
    about ? el("p", { class: "about", text: about }) : null,
    legend, chart.element, el("p", { class: "reading" }, chart.readout));
}
