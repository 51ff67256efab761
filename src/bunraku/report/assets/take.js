// A take: the mesh beside its capture, where and when it is wrong, and the curves.

const VERDICTS = {
  seen: "seen",
  "weakly seen": "weakly seen",
  "not seen": "not seen",
  dead: "moves nothing captured",
  held: "held",
  interchangeable: "interchangeable",
};
const MEANINGS = {
  seen: "The capture tells this control well.",
  "weakly seen": "The capture tells this control only roughly.",
  "not seen": "The capture hardly tells this control: other values would fit as well.",
  dead: "No captured point moves with this control: its curve means nothing.",
  held: "Its bounds meet: it could not move.",
  interchangeable: "Other controls can do the same: its curve is one choice of many.",
};
const FIRST_CONTROLS = 24;

class TakePart {
  constructor(part, arrays) {
    Object.assign(this, { part, arrays, charts: [] });
    this.start = part.start_frame;
    this.fps = part.fps[0] / part.fps[1];
    this.transport = new Transport(part.frames, this.fps, this.start, (frame) => this.show(frame));
    this.element = el("div", { class: "part" }, this.head(), this.watch(), this.errors(), this.wrong(), this.controls(),
      this.details());
  }

  head() {
    const { part } = this;
    const m = part.metrics;
    const tile = (name, value, more = "") => el("div", { class: "tile" }, el("b", { text: value }), el("span", { text: name }),
      more ? el("small", { text: more }) : null);
    const unit = part.unit;
    return el("header", {},
      el("p", { class: "verdict", text: part.said.verdict }),
      el("p", { text: part.said.what }),
      part.said.where ? el("p", { text: part.said.where }) : null,
      el("div", { class: "tiles" },
        tile(`mean distance, ${unit}`, numberText(m.mean_vertex_error), `${percentText(m.relative_error)} of the rig's size`),
        tile(`95 % of points within, ${unit}`, numberText(m.p95_vertex_error)),
        tile(`largest distance, ${unit}`, numberText(m.max_vertex_error)),
        m.control_error !== undefined && m.control_error !== null
          ? tile("control error", percentText(m.control_error), "of the range, against the true curves") : null,
        tile("controls in use", `${numberText(m.active_controls)} of ${m.controls ?? part.controls.length}`, "in a frame, on average"),
        m.wall_seconds !== undefined ? tile("solved in", secondsText(m.wall_seconds), m.rig_evaluations ? `${numberText(m.rig_evaluations)} evaluations of the rig` : "") : null),
      part.notes.map((note) => el("p", { class: "note", text: note })));
  }

  /** The stage, its buttons and its legend. */
  watch() {
    const { film } = this.part;
    if (!film) return el("section", { class: "block" }, this.transport.element);
    this.solved = new MovingMesh(this.arrays, "solved", film.meshes.solved.step);
    this.points = film.meshes.points ? new MovingMesh(this.arrays, "points", film.meshes.points.step) : null;
    this.other = film.meshes.other ? new MovingMesh(this.arrays, "other", film.meshes.other.step) : null;
    this.rows = this.arrays.rows.data;
    this.apart = this.arrays.apart ? this.arrays.apart.data : null;
    if (this.apart) {
      this.seen = Array.from(this.arrays.seen.data, (i) => this.rows[i]);
      this.levels = new Float32Array(256);
      for (let q = -127; q < 128; q++) this.levels[q + 128] = Math.sign(q) * (q / 127) ** 2 * film.reach;
      this.measured = (this.points || this.solved).size / 3;
      this.error = new Float32Array(this.measured);
    }
    this.stage = new Stage("The rig's mesh as it was solved, and the capture", film.up, film.diagonal);
    const modes = this.apart || this.other
      ? { side: "Side by side", overlay: "Overlay", capture: "Capture only", rig: "Rig only" } : { rig: "Rig only" };
    const colours = this.apart ? { frame: "Error in this frame", shot: "Mean error of the shot", plain: "No colour" }
      : this.wholeShot() ? { shot: "Mean error of the shot", plain: "No colour" } : { plain: "No colour" };
    this.mode = Object.keys(modes)[0];
    this.colour = Object.keys(colours)[0];
    const choice = (label, options, set) => {
      const buttons = Object.entries(options).map(([key, text]) => el("button", { "data-choice": key, "aria-pressed": "false",
        onclick: () => set(key), text }));
      return el("div", { class: "choice", role: "group", "aria-label": label }, buttons);
    };
    this.modes = choice("View", modes, (mode) => this.setMode(mode));
    this.colourings = choice("Colour", colours, (colour) => this.setColour(colour));
    this.bar = el("i", { class: "ramp" });
    this.bar.style.background = `linear-gradient(to right, ${RAMP_CSS.join(", ")})`;
    this.barTop = el("span", {});
    this.state = el("span", { class: "state" });
    this.legend = el("div", { class: "rampbox" }, el("span", { text: "0" }), this.bar, this.barTop, this.state);
    const worst = Math.max(...Object.values(film.meshes).map((mesh) => mesh.worst));
    const kept = this.rows.length < this.part.frames ? ` The mesh is kept at ${this.rows.length} of ${this.part.frames} frames and interpolated between them.` : "";
    const seen = this.apart && this.seen.length < this.part.frames
      ? ` The capture is kept at ${this.seen.length} of ${this.part.frames} frames, the worst ones among them; between these its distance to the rig is interpolated.` : "";
    const accuracy = ` Shapes are compressed: drawn points are within ${numberText(worst)} ${this.part.unit} (${percentText(worst / film.diagonal)} of the rig's size) of the solved ones.`;
    return el("section", { class: "block" }, el("div", { class: "bar" }, this.modes, this.colourings), this.stage.element,
      this.legend, this.transport.element,
      folded("What is drawn", el("p", { class: "about", text: `Every figure in this report was measured before compression.${accuracy}${kept}${seen}` })));
  }

  wholeShot() {
    const count = this.arrays.vertex_error.data.length;
    const own = this.part.film.meshes.points ? this.points.size / 3 : (this.arrays.shown ? null : this.solved.size / 3);
    return this.arrays.shown || count === own;
  }

  begin() {
    if (this.stage && this.stage.start()) this.build();
    else this.stage = null;
    this.transport.set(this.part.worst_frames.length && this.part.metrics.mean_vertex_error > 0 ? this.part.worst_frames[0] : 0);
  }

  build() {
    const { stage, arrays, part } = this;
    const faces = arrays.faces.data;
    const group = () => stage.add(new THREE.Group());
    this.rigGroup = group();
    this.captureGroup = group();
    this.ghostGroup = group();
    this.pointGroup = group();
    const onVertices = !this.points;
    this.rig = new Surface(this.solved.size / 3, faces);
    this.rigGroup.add(this.rig.object);
    if (this.apart) {
      const shared = onVertices ? faces : null;
      this.capture = new Surface(this.measured, shared);
      this.captureGroup.add(this.capture.object);
      this.ghost = new Surface(this.measured, shared, { colour: new THREE.Color(...CAPTURED), opacity: onVertices ? 0.45 : 1 });
      this.ghostGroup.add(this.ghost.object);
      if (!onVertices) {
        this.marks = new Surface(this.measured, null);
        this.pointGroup.add(this.marks.object);
      }
    } else if (this.other) {
      this.capture = new Surface(this.other.size / 3, arrays.other_faces.data);
      this.captureGroup.add(this.capture.object);
      this.ghost = new Surface(this.other.size / 3, arrays.other_faces.data, { colour: new THREE.Color(...CAPTURED), opacity: 0.45 });
      this.ghostGroup.add(this.ghost.object);
    }
    this.pinGroup = group();
    this.pin = new THREE.Mesh(new THREE.SphereGeometry(part.film.diagonal * 0.012, 16, 12),
      new THREE.MeshLambertMaterial({ color: 0xe0207a, emissive: 0x701040 }));
    this.pin.visible = false;
    this.pinGroup.add(this.pin);
    this.place();
    this.setMode(this.mode);
    this.setColour(this.colour);
  }

  /** Where the camera stands: so that everything is in sight, or goes with what travels. */
  place() {
    const { centre, rows } = this.solved;
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    for (let i = 0; i < centre.length; i++) {
      low[i % 3] = Math.min(low[i % 3], centre[i]);
      high[i % 3] = Math.max(high[i % 3], centre[i]);
    }
    const travel = Math.hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]);
    this.travels = travel > 0.4 * this.part.film.diagonal;
    const out = new Float32Array(this.solved.size);
    const middle = new THREE.Vector3((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2);
    let radius = 0;
    for (let i = 0; i < 12; i++) {
      const place = ((rows - 1) * i) / 11;
      this.solved.at(place, out);
      const c = this.travels ? this.middle(place) : middle;
      for (let v = 0; v < out.length; v += 3) radius = Math.max(radius, Math.hypot(out[v] - c.x, out[v + 1] - c.y, out[v + 2] - c.z));
    }
    this.stage.frame(this.travels ? this.middle(0) : middle, radius);
  }

  /** The centre around a place, calmed. */
  middle(place) {
    const { centre, rows } = this.solved;
    const found = new THREE.Vector3();
    const first = Math.max(0, Math.floor(place) - 8);
    const last = Math.min(rows - 1, Math.floor(place) + 8);
    for (let i = first; i <= last; i++) found.add(new THREE.Vector3(centre[3 * i], centre[3 * i + 1], centre[3 * i + 2]));
    return found.divideScalar(last - first + 1);
  }

  setMode(mode) {
    this.mode = mode;
    for (const button of this.modes.children) button.setAttribute("aria-pressed", String(button.dataset.choice === mode));
    if (!this.stage || !this.rig) return;
    const rig = [this.rigGroup, this.pinGroup, this.pointGroup];
    const views = {
      side: [{ name: "capture", groups: [this.captureGroup] }, { name: "rig, as solved", groups: rig }],
      overlay: [{ name: "rig, with the capture over it in blue", groups: [...rig, this.ghostGroup] }],
      capture: [{ name: "capture", groups: [this.captureGroup] }],
      rig: [{ name: "rig, as solved", groups: rig }],
    };
    this.stage.show(views[mode]);
    this.show(this.transport.frame);
  }

  setColour(colour) {
    this.colour = colour;
    for (const button of this.colourings.children) button.setAttribute("aria-pressed", String(button.dataset.choice === colour));
    const { diagonal } = this.part.film;
    const of = colour === "shot" ? this.arrays.vertex_error.data : this.arrays.p95 ? this.arrays.p95.data : this.arrays.frame_mean.data;
    const sorted = Float32Array.from(of).sort();
    const high = colour === "shot" ? sorted[Math.floor(0.98 * (sorted.length - 1))] : sorted[sorted.length - 1];
    this.top = roundUp(Math.max(high || 0, 1e-4 * diagonal));
    this.barTop.textContent = `${numberText(this.top)} ${this.part.unit} or more`;
    this.legend.classList.toggle("off", colour === "plain");
    this.show(this.transport.frame);
  }

  /** Everything at a frame. */
  show(frame) {
    for (const chart of this.charts) chart.mark(frame + this.start);
    if (!this.stage || !this.rig) return;
    const place = placeOf(this.rows, frame);
    this.solved.at(place, this.rig.positions);
    if (this.points) this.points.at(place, (this.marks || this.ghost).positions);
    if (this.apart) this.compare(frame);
    else if (this.other) {
      this.other.at(place, this.capture.positions);
      this.ghost.positions.set(this.capture.positions);
      this.paint(this.capture, () => CAPTURED);
      this.capture.changed();
      this.ghost.changed();
    }
    this.paintRig();
    this.rig.changed();
    if (this.marks) this.marks.changed();
    if (this.travels) this.stage.follow(this.middle(place));
    if (this.pinned !== undefined) {
      const p = (this.points ? this.marks : this.rig).positions;
      this.pin.position.set(p[3 * this.pinned], p[3 * this.pinned + 1], p[3 * this.pinned + 2]);
    }
    this.stage.ask();
  }

  /** Captured points: where they are on the rig, plus how far apart they are kept to be. */
  compare(frame) {
    const base = this.points ? this.marks.positions : this.rig.positions;
    const at = placeOf(this.seen, frame);
    const low = Math.floor(at);
    const high = Math.min(this.seen.length - 1, low + 1);
    const share = at - low;
    const { apart, levels, error } = this;
    const out = this.capture.positions;
    const count = 3 * this.measured;
    for (let i = 0, a = low * count, b = high * count; i < count; i += 3, a += 3, b += 3) {
      const hereMissing = apart[a] === -128;
      const thereMissing = apart[b] === -128;
      const t = hereMissing ? 1 : thereMissing ? 0 : share;
      if ((hereMissing && thereMissing) || (share === 0 && hereMissing)) {
        out[i] = base[i]; out[i + 1] = base[i + 1]; out[i + 2] = base[i + 2];
        error[i / 3] = -1;
        continue;
      }
      const x = (1 - t) * levels[apart[a] + 128] + t * levels[apart[b] + 128];
      const y = (1 - t) * levels[apart[a + 1] + 128] + t * levels[apart[b + 1] + 128];
      const z = (1 - t) * levels[apart[a + 2] + 128] + t * levels[apart[b + 2] + 128];
      out[i] = base[i] + x; out[i + 1] = base[i + 1] + y; out[i + 2] = base[i + 2] + z;
      error[i / 3] = Math.sqrt(x * x + y * y + z * z);
    }
    this.exact = share === 0;
    this.ghost.positions.set(out);
    this.paint(this.capture, (i) => (error[i] < 0 ? NOT_THERE : CAPTURED));
    this.capture.changed();
    this.ghost.changed();
  }

  paintRig() {
    const { colour, error, top } = this;
    const target = this.marks || this.rig;
    if (this.marks) this.paint(this.rig, () => PLAIN);
    if (colour === "plain" || (colour === "frame" && !this.apart)) {
      this.paint(target, () => PLAIN);
      this.state.textContent = "";
      return;
    }
    const shot = this.arrays.vertex_error.data;
    const shown = this.arrays.shown ? this.arrays.shown.data : null;
    const values = colour === "shot" ? (i) => shot[shown ? shown[i] : i] : (i) => error[i];
    const c = target.colours;
    for (let i = 0; i < c.length / 3; i++) {
      const value = values(i);
      if (value < 0) {
        c.set(NOT_THERE, 3 * i);
        continue;
      }
      const k = 3 * Math.min(255, Math.round((255 * value) / top));
      c[3 * i] = RAMP[k]; c[3 * i + 1] = RAMP[k + 1]; c[3 * i + 2] = RAMP[k + 2];
    }
    this.state.textContent = colour === "shot" ? "mean over the shot" : this.exact ? "" : "interpolated: not a kept frame";
  }

  paint(surface, colourOf) {
    const c = surface.colours;
    for (let i = 0; i < c.length; i += 3) {
      const own = colourOf(i / 3);
      c[i] = own[0]; c[i + 1] = own[1]; c[i + 2] = own[2];
    }
  }

  errors() {
    const { arrays, part } = this;
    const frames = Float64Array.from({ length: part.frames }, (_, i) => i + this.start);
    const series = [];
    if (arrays.frame_max) series.push({ name: "max", y: arrays.frame_max.data, colour: "--series-3", width: 1 });
    if (arrays.p95) {
      const rows = arrays.rows.data;
      const y = Float32Array.from({ length: part.frames }, (_, i) => {
        const at = placeOf(rows, i);
        const low = Math.floor(at);
        return arrays.p95.data[low] * (1 - at + low) + arrays.p95.data[Math.min(rows.length - 1, low + 1)] * (at - low);
      });
      series.push({ name: "95 % within", y, colour: "--series-2" });
    }
    series.push({ name: "mean", y: arrays.frame_mean.data, colour: "--series-1", width: 2 });
    const chart = new Chart({ label: "Distance between capture and rig in every frame", height: 190, x: frames, series, zero: true,
      xText: (x) => `frame ${Math.round(x)}`, xTick: (x) => String(Math.round(x)), onPick: (x) => this.transport.go(x - this.start) });
    this.charts.push(chart);
    const without = el("button", { "aria-pressed": "false", text: "Leave out the maximum", onclick: () => {
      const on = without.getAttribute("aria-pressed") === "false";
      without.setAttribute("aria-pressed", String(on));
      chart.set({ series: on ? series.filter((s) => s.name !== "max") : series });
    } });
    return chartBlock("Error over time",
      `How far captured points are from the rig in each frame, in ${part.unit}. Click to go there.`, chart,
      arrays.frame_max ? [without] : []);
  }

  wrong() {
    const { part, arrays } = this;
    const jump = (frame, after) => el("button", { class: "link", text: String(frame), onclick: () => {
      this.transport.go(frame - this.start);
      if (after) after();
      if (this.stage) this.stage.element.scrollIntoView({ block: "nearest" });
    } });
    const largest = arrays.frame_max ? { largest: "largest" } : {};
    const frames = part.worst_frames.map((row) => ({ frame: jump(row + this.start), mean: arrays.frame_mean.data[row],
      ...(arrays.frame_max ? { largest: arrays.frame_max.data[row] } : {}) }));
    const titles = { point: "point", mean: "mean", ...largest };
    const points = part.worst_points.map((row) => {
      const at = row.worst_frame === null ? this.transport.frame + this.start : row.worst_frame;
      const pin = () => this.pinPoint(row.vertex);
      const button = el("button", { class: "link", text: String(row.vertex), onclick: () => {
        pin();
        if (row.worst_frame !== null) this.transport.go(at - this.start);
        else this.show(this.transport.frame);
        if (this.stage) this.stage.element.scrollIntoView({ block: "nearest" });
      } });
      const found = { point: button, mean: row.mean, largest: row.max };
      if (row.worst_frame !== null) {
        titles.worst = "worst frame";
        found.worst = jump(row.worst_frame, pin);
      }
      if (row.near.length) {
        titles.near = "moved most by";
        found.near = row.near.join(", ");
      }
      return found;
    });
    return el("section", { class: "block" }, el("h2", { text: "Where it is wrong" }), el("div", { class: "columns" },
      table(frames, { frame: "frame", mean: `mean, ${part.unit}`, ...largest }, { caption: "Worst frames" }),
      table(points, titles, { caption: "Worst points of the mesh, over the whole shot" })));
  }

  pinPoint(point) {
    if (!this.pin) return;
    const shown = this.arrays.shown ? this.arrays.shown.data.indexOf(point) : point;
    this.pinned = shown < 0 ? undefined : shown;
    this.pin.visible = this.pinned !== undefined;
  }

  controls() {
    const { part, arrays } = this;
    const rows = arrays.curve_rows.data;
    const x = Float64Array.from(rows, (row) => row + this.start);
    const count = part.controls.length;
    const data = arrays.curves.data;
    const trouble = (c) => ["dead", "not seen", "weakly seen", "interchangeable", "seen", "held", undefined].indexOf(c.verdict);
    const range = (c) => (c.upper > c.lower ? c.upper - c.lower : 1);
    const movement = (c) => (c.greatest - c.least) / range(c);
    const all = part.controls.map((c, i) => ({ ...c, i }));
    const orders = {
      movement: ["Most moved first", (a, b) => movement(b) - movement(a) || a.i - b.i],
      trouble: ["Least seen first", (a, b) => trouble(a) - trouble(b) || movement(b) - movement(a) || a.i - b.i],
      rig: ["In the rig's order", (a, b) => a.i - b.i],
      name: ["By name", (a, b) => a.name.localeCompare(b.name)],
    };
    const grid = el("div", { class: "cards" });
    const more = el("button", { class: "more" });
    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        entry.target.make();
      }
    }, { rootMargin: "600px" });
    const card = (c) => {
      const host = el("div", { class: "slot" });
      host.make = () => {
        const y = Float32Array.from(rows, (_, k) => c.least + ((c.greatest - c.least) * data[k * count + c.i]) / 65535);
        const levels = [];
        if (c.neutral !== undefined) levels.push({ y: c.neutral, outside: false, colour: "--faint" });
        if (c.lower !== undefined) for (const bound of [c.lower, c.upper]) levels.push({ y: bound, outside: true, dash: [], colour: "--limit" });
        const keys = c.keys && c.keys[0].length ? [c.keys[0], c.keys[1]] : null;
        const chart = new Chart({ label: `Curve of ${c.name}`, height: 66, x, slim: true, levels,
          series: [{ name: "value", y, dots: keys }], xText: (f) => `frame ${Math.round(f)}`, onPick: (f) => this.transport.go(f - this.start) });
        chart.marker = null;
        host.replaceChildren(chart.element);
        this.charts.push(chart);
        chart.mark(this.transport.frame + this.start);
      };
      watcher.observe(host);
      const facts = [`${numberText(c.least)} … ${numberText(c.greatest)}`];
      if (c.lower !== undefined) facts.push(`limits ${numberText(c.lower)} … ${numberText(c.upper)} ${c.unit === "1" ? "" : c.unit}`);
      if (c.keys) facts.push(`${c.keys[0].length} keys`);
      if (c.deviation !== undefined && c.deviation !== null) facts.push(`known to ± ${percentText(c.deviation)} of its range`);
      if (c.at_lower || c.at_upper) facts.push(`at a limit in ${c.at_lower + c.at_upper} frames`);
      if (c.group !== undefined && c.group !== null) {
        const others = part.groups[c.group].controls.filter((name) => name !== c.name);
        facts.push(`could be traded with ${others.slice(0, 3).join(", ")}${others.length > 3 ? ` and ${others.length - 3} more` : ""}`);
      }
      const badge = c.verdict && c.verdict !== "seen"
        ? el("span", { class: `badge ${c.verdict.replaceAll(" ", "-")}`, title: MEANINGS[c.verdict] || "", text: VERDICTS[c.verdict] || c.verdict }) : null;
      return el("article", { class: "card" }, el("h3", {}, el("span", { class: "name", text: c.name }), badge), host,
        el("p", { class: "facts name", text: facts.join(" · ") }));
    };
    const state = { order: "movement", filter: "", shown: FIRST_CONTROLS };
    const fill = () => {
      const wanted = state.filter.toLowerCase();
      const chosen = all.filter((c) => c.name.toLowerCase().includes(wanted)).sort(orders[state.order][1]);
      this.charts = this.charts.filter((chart) => !chart.spec.slim);
      grid.replaceChildren(...chosen.slice(0, state.shown).map(card));
      more.hidden = chosen.length <= state.shown;
      more.textContent = `Show all ${chosen.length} controls`;
    };
    more.addEventListener("click", () => {
      state.shown = Infinity;
      fill();
    });
    const order = el("select", { "aria-label": "Order of the controls", onchange: () => { state.order = order.value; fill(); } },
      Object.entries(orders).map(([key, [text]]) => el("option", { value: key, text })));
    const filter = el("input", { type: "search", placeholder: "Find a control", "aria-label": "Find a control",
      oninput: () => { state.filter = filter.value; fill(); } });
    const unseen = all.filter((c) => ["dead", "not seen"].includes(c.verdict)).length;
    const traded = all.filter((c) => c.verdict === "interchangeable" || (c.group !== null && c.group !== undefined)).length;
    const told = part.accounted ? "" : " “bunraku rig account” says more about what the capture could tell.";
    const keys = part.keys === null ? "" : ` Dots are the ${part.keys} keys of the simplified curves.`;
    const found = [`${count} controls`];
    if (unseen) found.push(`${unseen} not seen in this capture`);
    if (traded) found.push(`${traded} interchangeable with others`);
    fill();
    return el("section", { class: "block" },
      el("div", { class: "head" }, el("h2", { text: "Curves" }), order, filter),
      el("p", { class: "about", text: `${found.join(", ")}. The dashed line is neutral, solid grey lines are limits, where the curve comes near them.${keys}${told}` }),
      grid, more);
  }

  details() {
    const { part } = this;
    const m = { ...part.metrics };
    return el("section", { class: "block" }, el("h2", { text: "How it was made" }),
      folded("All figures", valueList(m)),
      folded("Settings", valueList(part.settings)),
      folded("Alignment", el("div", {},
        el("p", { class: "about", text: `From the capture's space to the rig's, y = A·x + b, as [A | b].${part.stabilised ? " After it each frame was stabilised: what moved as a whole was taken out." : ""}` }),
        table(part.alignment.map((row) => ({ "A₁": row[0], "A₂": row[1], "A₃": row[2], b: row[3] }))))),
      folded("Provenance", valueList(part.provenance)));
  }

  key(event) {
    return transportKey(this, event, () => {
      const worst = this.part.worst_frames;
      const here = worst.indexOf(this.transport.frame);
      if (worst.length) this.transport.go(worst[(here + 1) % worst.length]);
    }, () => {
      if (!this.modes) return;
      const modes = [...this.modes.children].map((button) => button.dataset.choice);
      this.setMode(modes[(modes.indexOf(this.mode) + 1) % modes.length]);
    });
  }
}

/** Keys that every moving part knows; true if one was meant. */
function transportKey(part, event, next, change) {
  const { transport } = part;
  const step = event.shiftKey ? 10 : 1;
  const actions = {
    " ": () => transport.toggle(),
    ArrowLeft: () => transport.go(transport.frame - step),
    ArrowRight: () => transport.go(transport.frame + step),
    Home: () => transport.go(0),
    End: () => transport.go(transport.frames - 1),
    w: next,
    v: change,
  };
  if (!actions[event.key]) return false;
  actions[event.key]();
  return true;
}
