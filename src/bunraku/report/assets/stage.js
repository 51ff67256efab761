// One canvas with one view or two side by side, seen by one camera that the pointer turns.

class Stage {
  constructor(label, up, size) {
    this.up = up;
    this.size = size;
    this.canvas = el("canvas", { class: "stage", role: "img", "aria-label": label });
    this.labels = el("div", { class: "labels", "aria-hidden": "true" });
    this.element = el("div", { class: "stagebox" }, this.canvas, this.labels);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(30, 1, size / 100, size * 100);
    this.camera.up.set(0, up === "y" ? 1 : 0, up === "z" ? 1 : 0);
    const sky = new THREE.HemisphereLight(0xffffff, 0x99a0aa, 1.7);
    sky.position.copy(this.camera.up);
    this.scene.add(sky, new THREE.AmbientLight(0xffffff, 0.55));
    this.lamp = new THREE.DirectionalLight(0xffffff, 1.1);
    this.scene.add(this.lamp);
    /** Each view: {name, groups}: what is visible in it. */
    this.views = [];
    this.groups = [];
    this.drawn = 0;
    /** Of the full resolution, while things move: less where drawing is slow. */
    this.quality = 1;
  }

  /** Begin: here, so that a page without WebGL still shows everything else. */
  start() {
    try {
      this.renderer = new THREE.WebGLRenderer({ canvas: this.canvas, antialias: true, preserveDrawingBuffer: false });
    } catch (error) {
      this.element.replaceChildren(el("p", { class: "note", text: "This browser has no WebGL: the shapes cannot be shown." }));
      return false;
    }
    this.renderer.setScissorTest(true);
    this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    this.controls.enableDamping = false;
    this.controls.addEventListener("change", () => this.ask());
    new ResizeObserver(() => this.ask()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.ask());
    this.canvas.addEventListener("dblclick", () => this.home());
    return true;
  }

  /** Look at a centre from the front, a little from above and from the side. */
  frame(centre, radius) {
    this.centre = centre.clone();
    this.radius = radius;
    this.home();
  }

  home() {
    const way = this.up === "y" ? new THREE.Vector3(0.45, 0.25, 1) : new THREE.Vector3(0.45, -1, 0.25);
    const distance = this.radius / Math.tan((this.camera.fov * Math.PI) / 360);
    this.controls.target.copy(this.centre);
    this.camera.position.copy(this.centre).addScaledVector(way.normalize(), 1.08 * distance);
    this.controls.update();
    this.ask();
  }

  /** Go with something that moves through the world. */
  follow(centre) {
    const step = centre.clone().sub(this.controls.target);
    this.controls.target.add(step);
    this.camera.position.add(step);
    this.centre.copy(centre);
  }

  add(group) {
    this.groups.push(group);
    this.scene.add(group);
    return group;
  }

  show(views) {
    this.views = views;
    this.labels.replaceChildren(...views.map((view) => el("span", { text: view.name })));
    this.ask();
  }

  /** Draw at the next opportunity. */
  ask() {
    if (this.asked || !this.renderer) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /** Draw; sharply only where nothing moves, if drawing takes long. */
  draw(still = false) {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width || !height || !this.views.length) return;
    const { renderer, camera } = this;
    const scale = Math.min(2, devicePixelRatio || 1) * (still ? 1 : this.quality);
    if (renderer.getPixelRatio() !== scale) renderer.setPixelRatio(scale);
    const began = performance.now();
    if (this.width !== width || this.height !== height) {
      renderer.setSize(width, height, false);
      [this.width, this.height] = [width, height];
    }
    renderer.setClearColor(new THREE.Color(styleValue("--stage")));
    this.lamp.position.copy(camera.position).sub(this.controls.target);
    // Two views stand one over the other where each would be a narrow strip.
    const count = this.views.length;
    const stacked = count > 1 && width / count < 0.7 * height;
    this.labels.classList.toggle("stacked", stacked);
    const own = stacked ? width : Math.floor(width / count);
    const tall = stacked ? Math.floor(height / count) : height;
    // What is narrow is looked at from as far as its width asks for.
    camera.aspect = own / tall;
    camera.zoom = Math.min(1, camera.aspect);
    camera.updateProjectionMatrix();
    this.views.forEach((view, i) => {
      for (const group of this.groups) group.visible = view.groups.includes(group);
      const box = stacked ? [0, (count - 1 - i) * tall, own, tall] : [i * own, 0, own, tall];
      renderer.setViewport(...box);
      renderer.setScissor(...box);
      renderer.render(this.scene, camera);
    });
    this.drawn++;
    clearTimeout(this.later);
    if (!still && this.drawn % 6 === 0) this.pace(began);
    if (!still && this.quality < 1) this.later = setTimeout(() => this.draw(true), 250);
  }

  /** Wait for what was just drawn, and choose the resolution by how long it took. */
  pace(began) {
    const gl = this.renderer.getContext();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    const took = performance.now() - began;
    if (took > 18) this.quality = Math.max(0.5, this.quality - 0.125);
    else if (took < 6) this.quality = Math.min(1, this.quality + 0.125);
  }
}

/** A surface whose positions, normals and colours change. */
class Surface {
  constructor(count, faces, { colour = null, opacity = 1 } = {}) {
    this.positions = new Float32Array(3 * count);
    this.normals = new Float32Array(3 * count);
    this.colours = colour ? null : new Float32Array(3 * count).fill(0.5);
    this.faces = faces;
    this.geometry = new THREE.BufferGeometry();
    const attribute = (array) => new THREE.BufferAttribute(array, 3).setUsage(THREE.DynamicDrawUsage);
    this.geometry.setAttribute("position", attribute(this.positions));
    const shared = { vertexColors: !colour, transparent: opacity < 1, opacity, depthWrite: opacity === 1,
      polygonOffset: opacity < 1, polygonOffsetFactor: 2, polygonOffsetUnits: 2 };
    if (faces && faces.length) {
      this.geometry.setAttribute("normal", attribute(this.normals));
      this.geometry.setIndex(new THREE.BufferAttribute(faces, 1));
      const material = new THREE.MeshLambertMaterial({ ...shared, side: THREE.DoubleSide });
      if (colour) material.color.copy(colour);
      this.object = new THREE.Mesh(this.geometry, material);
    } else {
      const material = new THREE.PointsMaterial({ ...shared, size: 6, sizeAttenuation: false });
      if (colour) material.color.copy(colour);
      this.object = new THREE.Points(this.geometry, material);
    }
    if (this.colours) this.geometry.setAttribute("color", attribute(this.colours));
    this.object.frustumCulled = false;
  }

  /** After positions or colours have changed. */
  changed() {
    this.geometry.attributes.position.needsUpdate = true;
    if (this.colours) this.geometry.attributes.color.needsUpdate = true;
    if (!this.faces || !this.faces.length) return;
    const { positions: p, normals: n, faces } = this;
    n.fill(0);
    for (let i = 0; i < faces.length; i += 3) {
      const a = 3 * faces[i];
      const b = 3 * faces[i + 1];
      const c = 3 * faces[i + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      n[a] += x; n[a + 1] += y; n[a + 2] += z;
      n[b] += x; n[b + 1] += y; n[b + 2] += z;
      n[c] += x; n[c + 1] += y; n[c + 2] += z;
    }
    for (let i = 0; i < n.length; i += 3) {
      const size = Math.hypot(n[i], n[i + 1], n[i + 2]) || 1;
      n[i] /= size; n[i + 1] /= size; n[i + 2] /= size;
    }
    this.geometry.attributes.normal.needsUpdate = true;
  }
}

/** Play, pause, scrub: counts in seconds and calls `show` with a frame between 0 and `frames` − 1. */
class Transport {
  constructor(frames, fps, startFrame, show) {
    Object.assign(this, { frames, fps, startFrame, show, frame: 0, playing: false, speed: 1 });
    this.button = el("button", { class: "play", "aria-label": "Play", onclick: () => this.toggle() }, "▶");
    this.slider = el("input", { type: "range", min: 0, max: Math.max(0, frames - 1), step: 1, value: 0,
      "aria-label": "Frame", oninput: () => this.go(Number(this.slider.value)) });
    this.counter = el("output", { class: "counter", "aria-live": "off" });
    this.choice = el("select", { "aria-label": "Speed", onchange: () => { this.speed = Number(this.choice.value); } },
      [0.1, 0.25, 0.5, 1, 2, 4].map((s) => el("option", { value: s, selected: s === 1, text: `${s}×` })));
    this.element = el("div", { class: "transport" }, this.button, this.slider, this.counter, this.choice);
  }

  toggle(on = !this.playing) {
    if (on === this.playing) return;
    this.playing = on;
    this.button.textContent = on ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", on ? "Pause" : "Play");
    if (!on) return;
    if (this.frame >= this.frames - 1) this.frame = 0;
    let before = null;
    let exact = this.frame;
    const step = (now) => {
      if (!this.playing) return;
      if (before !== null) exact += ((now - before) / 1000) * this.fps * this.speed;
      before = now;
      if (exact > this.frames - 1) exact = 0;
      if (Math.floor(exact) !== this.frame) this.set(Math.floor(exact));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Go somewhere and stay. */
  go(frame) {
    this.toggle(false);
    this.set(frame);
  }

  set(frame) {
    this.frame = Math.min(this.frames - 1, Math.max(0, Math.round(frame)));
    this.slider.value = String(this.frame);
    const seconds = (this.frame / this.fps).toFixed(2);
    this.slider.setAttribute("aria-valuetext", `frame ${this.frame + this.startFrame}, ${seconds} seconds`);
    this.counter.textContent = `${this.frame + this.startFrame} / ${this.frames - 1 + this.startFrame} · ${seconds} s`;
    this.show(this.frame);
  }
}
