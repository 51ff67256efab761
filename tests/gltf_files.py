"""A tiny maker of glTF files, so that tests can say exactly what stands in them (right or wrong)."""

import base64
import json
import struct

import numpy as np

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


class GltfMaker:
    """Collects bytes and JSON; `glb` and `gltf` write them."""

    def __init__(self):
        self.root = {"asset": {"version": "2.0"}}
        self.data = bytearray()

    def add(self, key, entry):
        self.root.setdefault(key, []).append(entry)
        return len(self.root[key]) - 1

    def view(self, data, **more):
        self.data += b"\0" * (-len(self.data) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **more}
        self.data += data
        return self.add("bufferViews", entry)

    def accessor(self, values, kind="f4", **more):
        array = np.asarray(values, kind)
        array = array.reshape(len(array), -1)
        entry = {"bufferView": self.view(array.tobytes()), "componentType": CODES[kind], "count": len(array)}
        return self.add("accessors", {**entry, "type": KINDS[array.shape[1]], **more})

    def mesh(self, positions=TRIANGLE, indices=None, targets=(), attributes=None, mode=None, **more):
        primitive = {"attributes": {"POSITION": self.accessor(positions), **(attributes or {})}}
        if indices is not None:
            primitive["indices"] = self.accessor(indices, "u2")
        if mode is not None:
            primitive["mode"] = mode
        if len(targets):
            primitive["targets"] = [{"POSITION": self.accessor(target)} for target in targets]
        return self.add("meshes", {"primitives": [primitive], **more})

    def skinned_mesh(self, vertex_joints, vertex_weights, positions=TRIANGLE, **more):
        """JOINTS_0, JOINTS_1 … of arrays (vertices, a multiple of 4)."""
        attributes = {}
        for i in range(np.shape(vertex_joints)[1] // 4):
            four = np.s_[:, 4 * i : 4 * i + 4]
            attributes[f"JOINTS_{i}"] = self.accessor(np.asarray(vertex_joints)[four], "u1")
            attributes[f"WEIGHTS_{i}"] = self.accessor(np.asarray(vertex_weights)[four])
        return self.mesh(positions, attributes=attributes, **more)

    def animation(self, *channels, name=None):
        """Channels are (node, path, times, values, interpolation)."""
        entry = {"samplers": [], "channels": []}
        for node, path, times, values, interpolation in channels:
            sampler = {"input": self.accessor(times), "output": self.accessor(values), "interpolation": interpolation}
            entry["samplers"].append(sampler)
            target = {"node": node, "path": path}
            entry["channels"].append({"sampler": len(entry["samplers"]) - 1, "target": target})
        return self.add("animations", entry if name is None else {**entry, "name": name})

    def glb(self, path):
        root = {**self.root, "buffers": [{"byteLength": len(self.data)}, *self.root.get("buffers", [])]}
        return write_glb(path, root, bytes(self.data))

    def gltf(self, path, uri=None):
        """Buffers as a data: URI, or in the file `uri` beside it."""
        where = uri or "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        if uri:
            (path.parent / uri).parent.mkdir(exist_ok=True)
            (path.parent / uri).write_bytes(self.data)
        path.write_text(json.dumps({**self.root, "buffers": [{"byteLength": len(self.data), "uri": where}]}))
        return path


def write_glb(path, root, data, *, extra=b""):
    text = json.dumps(root).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data + extra
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def read_glb(path):
    """JSON and the chunks behind it."""
    data = path.read_bytes()
    assert struct.unpack_from("<4sII", data) == (b"glTF", 2, len(data))
    chunks, start = [], 12
    while start < len(data):
        size, kind = struct.unpack_from("<II", data, start)
        assert size % 4 == 0
        chunks.append((kind, data[start + 8 : start + 8 + size]))
        start += 8 + size
    return json.loads(chunks[0][1]), chunks[1:]


def one_triangle():
    """The smallest good file: node 0 carries a triangle."""
    maker = GltfMaker()
    maker.add("nodes", {"mesh": maker.mesh()})
    return maker
