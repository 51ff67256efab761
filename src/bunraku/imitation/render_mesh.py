"""Pictures of meshes that deform, by the characters' renderer: vertices are replaced before each picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from scipy.sparse import csr_array

from bunraku.core.colours import CAPTURED, MISSING, RAMP, SOLVED
from bunraku.core.shown import Shown
from bunraku.imitation.backdrop import empty
from bunraku.imitation.camera import following_views
from bunraku.imitation.render import RenderConfig
from bunraku.imitation.screen import Screen

_TEXELS = 256
_SIZE = 1.6
"""How large everything is made, so that the ground's grid and the light suit it [m]."""
_APART = 1.25
_Z_UP_FROM_Y_UP = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""y up, looking along +z becomes z up, looking along +x."""


def render_mesh(
    shown: Shown, cfg: RenderConfig, top: float, chosen: Iterable[int] | None = None, samples: int = 0
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """A picture of each frame, or of the chosen ones: the capture on the left, beside it the mesh with the error as
    colour from 0 to `top`; with `cfg.ghost` False, or without a capture, the mesh alone.

    Raises:
        BunrakuError: no such camera, a size that cannot be drawn, no OpenGL library.
    """
    frames = list(range(shown.frames)) if chosen is None else list(chosen)
    turn = _Z_UP_FROM_Y_UP if shown.up == "y" else np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    stage = _Stage(shown, turn, beside=cfg.ghost and shown.captured is not None)
    camera = "front" if cfg.camera == "quarter" else cfg.camera
    views = following_views(stage.corners(), 1.0, camera, cfg.width / cfg.height)
    return _pictures(shown, stage, views[0], frames, cfg, top, samples)


class _Stage:
    """Where things stand: scaled to one size, on the ground, side by side."""

    def __init__(self, shown: Shown, turn: np.ndarray, *, beside: bool) -> None:
        rows = np.unique(np.linspace(0, shown.frames - 1, min(shown.frames, 24)).astype(int))
        boxes = np.array([_box(mesh @ turn.T) for mesh in shown.solved(rows)])
        low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
        span = high - low
        self.scale = _SIZE / max(float(span.max()), 1e-12)
        self.turn = turn * self.scale
        middle = (low + high) / 2 * self.scale
        self.offset = -np.array([middle[0], middle[1], float(low[2]) * self.scale])
        half = span * self.scale / 2
        self.shift = np.array([0.0, max(float(half[1]) * _APART, 0.25), 0.0]) if beside else np.zeros(3)
        self.half, self.beside = half, beside

    def put(self, vertices: np.ndarray, side: float) -> np.ndarray:
        """Vertices on the stage; side 1 is on the left, −1 on the right, of a camera in front."""
        return vertices @ self.turn.T + self.offset - side * self.shift

    def corners(self) -> Float[np.ndarray, "1 corners 3"]:
        """A box about all there is."""
        reach = self.half + np.abs(self.shift)
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], np.float64)
        return (corners * np.array([reach[0], reach[1], self.half[2]]))[None]


def _pictures(
    shown: Shown, stage: _Stage, view: object, frames: list[int], cfg: RenderConfig, top: float, samples: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    from bunraku.imitation.screen import View

    assert isinstance(view, View)
    solved, captured = _Surface(shown.faces), _Surface(_captured_faces(shown))
    compares = shown.compares
    spec = empty(samples)
    solved.add_to(spec, "solved", RAMP if compares else np.array([SOLVED]))
    captured.add_to(spec, "captured", np.array([CAPTURED]))
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with Screen(model, cfg.width, cfg.height) as screen:
        for k in frames:
            rows = np.array([k])
            mesh = shown.solved(rows)[0]
            error = shown.error(k) if compares else np.zeros(len(mesh))
            solved.replace(screen, stage.put(mesh, -1.0), error / max(top, 1e-30))
            if stage.beside and shown.captured is not None:
                points, there = shown.captured(rows)
                captured.replace(screen, stage.put(points[0], 1.0), np.where(there[0], 0.0, np.nan))
            screen.begin(data, view)
            solved.draw(screen)
            if stage.beside:
                captured.draw(screen)
            screen.cast_shadows()
            yield screen.shoot()


def _captured_faces(shown: Shown) -> np.ndarray:
    return shown.faces if shown.captured_faces is None else shown.captured_faces


class _Surface:
    """A mesh of the model whose vertices are the ones that are wanted."""

    def __init__(self, faces: np.ndarray) -> None:
        self.faces = np.ascontiguousarray(faces, np.int32)
        self.mesh, self.material = -1, -1
        self.name = ""

    def add_to(self, spec: mujoco.MjSpec, name: str, colours: np.ndarray) -> None:
        """A placeholder of as many vertices; colours become a texture that amounts are looked up in."""
        self.name = name
        if not len(self.faces):
            return
        count = int(self.faces.max()) + 1
        spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=_TEXELS, height=4, nchannel=3)
        spec.texture(name).data = _texture(colours).tobytes()
        spec.add_material(name=name, textures=["", name, *[""] * 8], specular=0.15, shininess=0.3, reflectance=0)
        # Any ball will do: its volume is what the compiler wants to see.
        ball = _ball(count).astype(np.float32)
        spec.add_mesh(
            name=name,
            uservert=ball.ravel(),
            usernormal=ball.ravel(),
            userface=self.faces.ravel(),
            userfacenormal=self.faces.ravel(),
            usertexcoord=np.zeros(2 * count, np.float32),
            userfacetexcoord=self.faces.ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )

    def replace(self, screen: Screen, vertices: np.ndarray, amounts: np.ndarray) -> None:
        """New vertices, and an amount in [0, 1] for each (NaN: there is none)."""
        if not len(self.faces):
            return
        model = screen.model
        if self.mesh < 0:
            self.mesh, self.material = model.mesh(self.name).id, model.mat(self.name).id
            self._around = _corners_of(self.faces)
        count = int(model.mesh_vertnum[self.mesh])
        first = int(model.mesh_vertadr[self.mesh])
        model.mesh_vert[first : first + count] = vertices[:count]
        model.mesh_normal[int(model.mesh_normaladr[self.mesh]) :][:count] = _normals(
            vertices[:count], self.faces, self._around
        )
        model.mesh_texcoord[int(model.mesh_texcoordadr[self.mesh]) :][:count] = _coordinates(amounts[:count])
        screen.upload_mesh(self.mesh)

    def draw(self, screen: Screen) -> None:
        """Into the picture that has begun."""
        if self.mesh >= 0:
            kind, white = int(mujoco.mjtGeom.mjGEOM_MESH), (1.0, 1.0, 1.0, 1.0)
            screen.add(kind, np.ones(3), np.zeros(3), np.eye(3), white, 2 * self.mesh, material=self.material)


def _texture(colours: np.ndarray) -> UInt8[np.ndarray, "rows texels 3"]:
    """Amounts along the lower rows; the upper ones are for what is missing."""
    place = np.linspace(0, len(colours) - 1, _TEXELS)
    row = np.stack([np.interp(place, np.arange(len(colours)), colours[:, k]) for k in range(3)], axis=1)
    out = np.tile(np.round(row).astype(np.uint8), (4, 1, 1))
    out[2:] = MISSING
    return out


def _coordinates(amounts: np.ndarray) -> Float[np.ndarray, "vertices 2"]:
    known = np.isfinite(amounts)
    u = np.clip(np.where(known, amounts, 0.0), 0.0, 1.0) * (1 - 1 / _TEXELS) + 0.5 / _TEXELS
    return np.stack([u, np.where(known, 0.2, 0.8)], axis=1)


def _ball(count: int) -> Float[np.ndarray, "count 3"]:
    """Points spread over a sphere along a spiral."""
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)


def _corners_of(faces: np.ndarray) -> csr_array:
    """Sums over the triangles about each vertex."""
    corners = faces.ravel()
    triangles = np.repeat(np.arange(len(faces)), 3)
    return csr_array((np.ones(len(corners)), (corners, triangles)), shape=(int(corners.max()) + 1, len(faces)))


def _normals(vertices: np.ndarray, faces: np.ndarray, around: csr_array) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals of vertices: those of the triangles about them, by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    total = around @ np.cross(b - a, c - a)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-30), np.array([0.0, 0.0, 1.0]))


def _box(vertices: np.ndarray) -> Float[np.ndarray, "2 3"]:
    return np.stack([vertices.min(axis=0), vertices.max(axis=0)])
