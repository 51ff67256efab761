// A training: how it learnt, how well it does, and the character beside its reference.

class RunPart {
  constructor(part, arrays) {
    Object.assign(this, { part, arrays, charts: [] });
    const times = arrays.times_s ? arrays.times_s.data : null;
    if (part.playback) {
      this.fps = times.length > 1 ? (times.length - 1) / times[times.length - 1] : 30;
      this.transport = new Transport(times.length, this.fps, 0, (frame) => this.show(frame));
    }
    this.element = el("div", { class: "part" }, this.head(), this.watch(), this.learning(), this.controllers(), this.terms(),
      this.timers(), this.details());
  }

  head() {
    const { part } = this;
    const r = part.result;
    const tile = (name, value, more = "") => el("div", { class: "tile" }, el("b", { text: value }), el("span", { text: name }),
      more ? el("small", { text: more }) : null);
    return el("header", {},
      el("p", { class: "verdict", text: part.said.verdict }),
      el("p", { text: part.said.what }),
      part.said.where ? el("p", { text: part.said.where }) : null,
      el("div", { class: "tiles" },
        r.normalized_return !== undefined && r.normalized_return !== null ? tile("return", numberText(r.normalized_return), "1 is perfect") : null,
        r.normalized_return_literal !== undefined && r.normalized_return_literal !== null ? tile("return, literal sums", numberText(r.normalized_return_literal)) : null,
        r.normalized_return_released !== undefined && r.normalized_return_released !== null ? tile("return, released weights", numberText(r.normalized_return_released)) : null,
        r.full_episodes !== undefined && r.full_episodes !== null ? tile("whole episodes", percentText(r.full_episodes), r.episodes ? `of ${r.episodes}` : "") : null,
        tile("samples", numberText(r.samples)),
        tile("trained in", secondsText(r.train_wall_seconds || 0), `${numberText(r.steps_per_second)} steps/s`)),
      part.notes.map((note) => el("p", { class: "note", text: note })));
  }

  watch() {
    if (!this.part.playback) return null;
    this.stage = new Stage("The simulated character, and its reference as a ghost", "z", 2);
    const ghost = this.part.playback.ghost;
    this.legend = el("ul", { class: "legend" });
    const key = (style, text) => {
      const mark = el("i", {});
      mark.style.background = style;
      return el("li", {}, mark, text);
    };
    this.legend.append(key("rgb(70 120 190)", "simulated"));
    if (ghost) this.legend.append(key("rgb(225 165 80)", "reference"));
    const blocks = [this.stage.element, this.legend, this.transport.element];
    if (ghost) {
      const apart = this.distances();
      const chart = new Chart({ label: "Distance between the character's bodies and the reference's", height: 130, zero: true,
        x: this.arrays.times_s.data, series: [{ name: "mean distance", y: apart }], xText: (x) => `${x.toFixed(2)} s`,
        xTick: (x) => `${+x.toFixed(2)} s`, yText: (y) => `${numberText(y)} m`, onPick: (x) => this.transport.go(x * this.fps) });
      this.charts.push(chart);
      this.worst = apart.indexOf(Math.max(...apart));
      blocks.push(chartBlock("Distance from the reference", "Mean over the bodies' origins, in metres. Click to go there.", chart));
    }
    const fell = this.part.playback.fell ? " It falls at the end." : "";
    if (this.arrays.reward) {
      const chart = new Chart({ label: "Reward of every step", height: 110, zero: true, top: 1, x: this.arrays.times_s.data,
        series: [{ name: "reward", y: this.arrays.reward.data }], xText: (x) => `${x.toFixed(2)} s`, xTick: (x) => `${+x.toFixed(2)} s`,
        onPick: (x) => this.transport.go(x * this.fps) });
      this.charts.push(chart);
      blocks.push(chartBlock("Reward of each step", "1 is perfect.", chart));
    }
    return el("section", { class: "block" }, el("h2", { text: "What it does" }),
      el("p", { class: "about", text: `The policy without jitter, in simulation.${fell}` }), ...blocks);
  }

  distances() {
    const { pos, ghost_pos } = this.arrays;
    const [frames, bodies] = pos.shape;
    return Float32Array.from({ length: frames }, (_, f) => {
      let sum = 0;
      for (let b = 0, i = f * bodies * 3; b < bodies; b++, i += 3)
        sum += Math.hypot(pos.data[i] - ghost_pos.data[i], pos.data[i + 1] - ghost_pos.data[i + 1], pos.data[i + 2] - ghost_pos.data[i + 2]);
      return sum / bodies;
    });
  }

  begin() {
    if (!this.stage) return;
    if (this.stage.start()) this.build();
    else this.stage = null;
    this.transport.set(0);
  }

  build() {
    const { stage, arrays, part } = this;
    this.own = stage.add(new THREE.Group());
    this.ghosts = stage.add(new THREE.Group());
    this.ground = stage.add(new THREE.Group());
    const make = (name, material) => {
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(arrays[`${name}.positions`].data, 3));
      geometry.setAttribute("normal", new THREE.BufferAttribute(arrays[`${name}.normals`].data, 3));
      geometry.setIndex(new THREE.BufferAttribute(arrays[`${name}.faces`].data, 1));
      const mesh = new THREE.Mesh(geometry, material);
      mesh.frustumCulled = false;
      return mesh;
    };
    const solid = new THREE.MeshLambertMaterial({ color: 0x3f7fd6 });
    const ghost = new THREE.MeshLambertMaterial({ color: 0xe1a550, transparent: true, opacity: 0.45, depthWrite: false,
      polygonOffset: true, polygonOffsetFactor: 4, polygonOffsetUnits: 4 });
    let reach = 0;
    this.bodies = part.playback.bodies.map(({ body }) => {
      const found = { body, own: make(`body${body}`, solid), ghost: part.playback.ghost ? make(`body${body}`, ghost) : null };
      this.own.add(found.own);
      if (found.ghost) this.ghosts.add(found.ghost);
      const p = arrays[`body${body}.positions`].data;
      const origin = 3 * body;
      for (let i = 0; i < p.length; i += 3)
        reach = Math.max(reach, Math.hypot(p[i], p[i + 1], p[i + 2]) + Math.hypot(...[0, 1, 2].map((a) => arrays.pos.data[origin + a] - arrays.pos.data[a])));
      return found;
    });
    const grid = (this.grid = new THREE.GridHelper(10, 20, 0x888888, 0x888888));
    grid.rotation.x = Math.PI / 2;
    grid.material.transparent = true;
    grid.material.opacity = 0.35;
    this.ground.add(grid);
    stage.frame(this.centre(0), 1.15 * reach);
    stage.show([{ name: part.playback.ghost ? "simulated, with its reference" : "simulated", groups: [this.own, this.ghosts, this.ground] }]);
  }

  /** Where the bodies are on the whole. */
  centre(frame) {
    const [, bodies] = this.arrays.pos.shape;
    const p = this.arrays.pos.data;
    const low = new THREE.Vector3(Infinity, Infinity, Infinity);
    const high = low.clone().negate();
    const one = new THREE.Vector3();
    for (let b = 0, i = frame * bodies * 3; b < bodies; b++, i += 3) {
      one.set(p[i], p[i + 1], p[i + 2]);
      low.min(one);
      high.max(one);
    }
    return low.add(high).multiplyScalar(0.5);
  }

  show(frame) {
    for (const chart of this.charts) chart.mark(this.arrays.times_s.data[frame]);
    if (!this.stage || !this.bodies) return;
    const [, count] = this.arrays.pos.shape;
    const put = (object, pos, quat, body) => {
      const i = frame * count + body;
      object.position.fromArray(pos.data, 3 * i);
      const q = quat.data;
      object.quaternion.set(q[4 * i + 1], q[4 * i + 2], q[4 * i + 3], q[4 * i]);
    };
    for (const { body, own, ghost } of this.bodies) {
      put(own, this.arrays.pos, this.arrays.quat, body);
      if (ghost) put(ghost, this.arrays.ghost_pos, this.arrays.ghost_quat, body);
    }
    const centre = this.centre(frame);
    // The ground goes along by whole squares, so that it seems to stay.
    this.grid.position.set(Math.round(2 * centre.x) / 2, Math.round(2 * centre.y) / 2, 0);
    centre.z = this.stage.controls.target.z;
    this.stage.follow(centre);
    this.stage.ask();
  }

  learning() {
    const { part } = this;
    const h = part.history;
    if (!h.samples.length) return null;
    const others = (part.result.controllers || []).filter((row) => !String(row.controller).startsWith("policy"));
    const levels = others.map((row) => ({ name: row.controller, y: row.normalized_return, colour: "--series-2" }));
    if (part.paper) levels.push({ name: `paper, ${part.paper[0]} M samples`, y: part.paper[1], colour: "--series-4" });
    const chart = new Chart({ label: "Return while training", height: 230, x: h.samples, zero: true, top: 1, levels, noLegend: true,
      series: [{ name: "return", y: h.return, width: 2 }], xText: (x) => `${numberText(x)} samples`, xTick: numberText });
    const buttons = [["By samples", h.samples, (x) => `${numberText(x)} samples`, numberText], ["By time", h.wall_s, secondsText, secondsText]]
      .map(([text, x, xText, xTick], i) => el("button", { "aria-pressed": String(i === 0), text, onclick: (event) => {
        chart.set({ x, xText, xTick });
        for (const button of event.target.parentElement.children) button.setAttribute("aria-pressed", String(button === event.target));
      } }));
    const about = "Mean return of the latest episodes while training, with the jitter that the policy explores with; 1 is perfect. Dashed: what does not learn" +
      (part.paper ? ", and the figure in the paper's table, whose exact formula is not known (indicative)." : ".");
    return chartBlock("Learning", about, chart, [el("div", { class: "choice", role: "group", "aria-label": "Horizontal axis" }, buttons)]);
  }

  controllers() {
    const rows = this.part.result.controllers || [];
    if (!rows.length) return null;
    const blocks = [table(rows)];
    const pushes = this.part.result.pushes;
    if (pushes) blocks.push(el("h3", { text: "Pushes" }),
      el("p", { class: "about", text: `The largest push of ${numberText(pushes.push_s)} s that is survived, in newtons; up to ${numberText(pushes.greatest_n)} N were tried.` }),
      table(pushes.directions));
    return el("section", { class: "block" }, el("h2", { text: "How well, beside what does not learn" }),
      el("p", { class: "about", text: "Episodes without jitter. No action: the servos' own reference. Return and whole episodes: 1 is perfect." }), ...blocks);
  }

  terms() {
    const h = this.part.history;
    const names = Object.keys(h.terms);
    if (!names.length) return null;
    const colours = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
    const chart = new Chart({ label: "Parts of the reward while training", height: 200, x: h.samples, zero: true, top: 1,
      series: names.map((name, i) => ({ name: name.replaceAll("_", " "), y: h.terms[name], colour: colours[i % 5] })),
      xText: (x) => `${numberText(x)} samples`, xTick: numberText });
    return chartBlock("Parts of the reward", "Each before its weight: 1 is perfect. The lowest one holds the return down.", chart);
  }

  timers() {
    const entries = Object.entries(this.part.times);
    const total = entries.reduce((sum, [, value]) => sum + value, 0);
    if (!total) return null;
    return el("section", { class: "block" }, el("h2", { text: "Where the time went" }),
      el("div", { class: "bars" }, entries.sort((a, b) => b[1] - a[1]).map(([name, value]) => {
        const bar = el("i", {});
        bar.style.width = `${(100 * value) / total}%`;
        return el("div", {}, el("span", { text: name.replaceAll("_", " ") }), el("div", { class: "track" }, bar),
          el("span", { class: "number", text: `${secondsText(value)}, ${percentText(value / total)}` }));
      })));
  }

  details() {
    const { controllers, pushes, ...rest } = this.part.result;
    return el("section", { class: "block" }, el("h2", { text: "How it was made" }), folded("All figures", valueList(rest)),
      folded("Settings", valueList(this.part.settings)), folded("Provenance", valueList(this.part.provenance)));
  }

  key(event) {
    if (!this.transport) return false;
    return transportKey(this, event, () => this.worst !== undefined && this.transport.go(this.worst), () => {});
  }
}
