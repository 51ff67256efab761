// The opposite of report/packing.py and report/low_rank.py.

const KINDS = { i8: Int8Array, u8: Uint8Array, i16: Int16Array, u16: Uint16Array, i32: Int32Array, u32: Uint32Array,
  f32: Float32Array };

async function inflated(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** All arrays of a page by name: {data, shape}. */
async function unpacked(index, text) {
  const bytes = await inflated(text);
  const arrays = {};
  for (const { name, type, shape, steady, at } of index) {
    const Kind = KINDS[type];
    const size = shape.reduce((a, b) => a * b, 1);
    const width = Kind.BYTES_PER_ELEMENT;
    const own = new Uint8Array(size * width);
    for (let plane = 0; plane < width; plane++) {
      const from = at + plane * size;
      for (let i = 0, to = plane; i < size; i++, to += width) own[to] = bytes[from + i];
    }
    const data = new Kind(own.buffer);
    const row = shape[0] ? size / shape[0] : 0;
    if (steady) for (let i = row; i < size; i++) data[i] += data[i - row];
    arrays[name] = { data, shape };
  }
  return arrays;
}

/** A mesh as few shapes that are added up; frames by place, which may lie between two. */
class MovingMesh {
  constructor(arrays, name, step) {
    this.mean = arrays[`${name}.mean`].data;
    const { data, shape } = arrays[`${name}.shapes`];
    this.count = shape[0];
    this.size = this.mean.length;
    this.shapes = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) this.shapes[i] = data[i] * (step / 32767);
    /** Weights below these move no vertex by a tenth of a step: they are not worth the time. */
    this.least = new Float32Array(this.count);
    for (let k = 0; k < this.count; k++) {
      let most = 1;
      for (let i = k * this.size; i < (k + 1) * this.size; i++) most = Math.max(most, Math.abs(data[i]));
      this.least[k] = (0.1 * 32767) / most;
    }
    this.weights = arrays[`${name}.weights`].data;
    this.centre = arrays[`${name}.centre`].data;
    this.rows = this.centre.length / 3;
  }

  /** Positions at a place into `out`. */
  at(place, out) {
    const low = Math.min(this.rows - 1, Math.floor(place));
    const high = Math.min(this.rows - 1, low + 1);
    const share = place - low;
    out.set(this.mean);
    const { shapes, size } = this;
    for (let k = 0; k < this.count; k++) {
      const w = (1 - share) * this.weights[low * this.count + k] + share * this.weights[high * this.count + k];
      if (Math.abs(w) < this.least[k]) continue;
      for (let i = 0, j = k * size; i < size; i++, j++) out[i] += w * shapes[j];
    }
    for (let axis = 0; axis < 3; axis++) {
      const c = (1 - share) * this.centre[3 * low + axis] + share * this.centre[3 * high + axis];
      for (let i = axis; i < size; i += 3) out[i] += c;
    }
    return out;
  }
}

/** Where a value lies among growing numbers: the place of the last one that is not larger, and how far to the next. */
function placeOf(numbers, value) {
  let low = 0;
  let high = numbers.length - 1;
  if (value <= numbers[0]) return 0;
  if (value >= numbers[high]) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle;
    else high = middle;
  }
  return low + (value - numbers[low]) / (numbers[high] - numbers[low]);
}
