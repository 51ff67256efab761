"""What a rig is to the rest of the program: protocols, and a wrapper that narrows one to some controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from bunraku.core.controls import ControlSpec
from bunraku.core.errors import BunrakuError
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.reduced import ReducedRig


@runtime_checkable
class Rig(Protocol):
    """A function from control values to a mesh, nothing more: maybe slow, foreign and not differentiable."""

    @property
    def spec(self) -> ControlSpec:
        """The controls."""
        ...

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The mesh's triangles; may be empty."""
        ...

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh at `spec.neutral`."""
        ...

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose."""
        ...


@runtime_checkable
@runtime_checkable
class DifferentiableRig(Rig, Protocol):
    """A rig that knows its derivatives."""

    def jvp(
        self, controls: Float[np.ndarray, "poses controls"], tangents: Float[np.ndarray, "poses controls"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents: how the mesh moves when the controls move so."""
        ...

    def vjp(
        self, controls: Float[np.ndarray, "poses controls"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses controls"]:
        """Transposed Jacobian times cotangents: the gradient of ⟨mesh, cotangents⟩ in the controls."""
        ...

    def reduce(self) -> ReducedRig:
        """The rig in few coordinates."""
        ...


@runtime_checkable
class GuessingRig(Protocol):
    """A rig that can tell from a mesh roughly where its controls stand, so that a solve need not start at neutral."""

    def guess(self, capture: MeshSequence) -> Float[np.ndarray, "frames controls"]:
        """Controls for every frame; may leave the bounds."""
        ...


def diagonal(vertices: Float[np.ndarray, "vertices 3"]) -> float:
    """The diagonal of a mesh's bounding box, the length that relative errors refer to."""
    return float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0)))


@dataclass(frozen=True, eq=False)
class Restricted:
    """A rig of which only some controls move; the others stay where they are."""

    whole: Rig
    columns: Int[np.ndarray, "selected"]
    rest: Float[np.ndarray, "controls"]
    """Of all the whole rig's controls; neutral unless they are held elsewhere."""

    @property
    def spec(self) -> ControlSpec:
        """The spec of the controls that move."""
        return self.whole.spec.take(self.columns)

    @property
    def faces(self) -> Int[np.ndarray, "triangles 3"]:
        """The whole rig's triangles."""
        return self.whole.faces

    @property
    def neutral(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh with the controls that move at neutral and the others at rest."""
        if np.array_equal(self.rest, self.whole.spec.neutral):
            return self.whole.neutral
        return self.whole.evaluate(self.rest[None])[0]

    def expand(self, controls: Float[np.ndarray, "poses selected"]) -> Float[np.ndarray, "poses controls"]:
        """All of the whole rig's controls, those that do not move at rest."""
        full = np.tile(self.rest, (len(controls), 1))
        full[:, self.columns] = controls
        return full

    def evaluate(self, controls: Float[np.ndarray, "poses selected"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose."""
        return self.whole.evaluate(self.expand(controls))


@dataclass(frozen=True, eq=False)
class RestrictedDifferentiable(Restricted):
    """The same around a rig that knows its derivatives."""

    whole: DifferentiableRig  # pyright: ignore[reportIncompatibleVariableOverride]

    def jvp(
        self, controls: Float[np.ndarray, "poses selected"], tangents: Float[np.ndarray, "poses selected"]
    ) -> Float[np.ndarray, "poses vertices 3"]:
        """Jacobian times tangents."""
        full = np.zeros((len(tangents), len(self.whole.spec)))
        full[:, self.columns] = tangents
        return self.whole.jvp(self.expand(controls), full)

    def vjp(
        self, controls: Float[np.ndarray, "poses selected"], cotangents: Float[np.ndarray, "poses vertices 3"]
    ) -> Float[np.ndarray, "poses selected"]:
        """Transposed Jacobian times cotangents."""
        return self.whole.vjp(self.expand(controls), cotangents)[:, self.columns]

    def guess(self, capture: MeshSequence) -> Float[np.ndarray, "frames selected"]:
        """The whole rig's guess, of the controls that move; neutral where it has none."""
        if isinstance(self.whole, GuessingRig):
            return self.whole.guess(capture)[:, self.columns]
        return np.tile(self.spec.neutral, (capture.frames, 1))

    def reduce(self) -> ReducedRig:
        """The whole rig's coordinates; of their Jacobian, the rows of the controls that move."""
        return _RestrictedCoordinates(self, self.whole.reduce())


@dataclass(frozen=True, eq=False)
class _RestrictedCoordinates:
    rig: RestrictedDifferentiable
    inner: ReducedRig

    @property
    def concurrent(self) -> bool:
        return self.inner.concurrent

    @property
    def basis(self) -> Float[np.ndarray, "components rows"] | None:
        return self.inner.basis

    @property
    def axes(self) -> int:
        return self.inner.axes

    @property
    def origin(self) -> Float[np.ndarray, "vertices 3"]:
        return self.inner.origin

    def evaluate(self, controls: Float[np.ndarray, "frames selected"]) -> Float[np.ndarray, "frames coordinates"]:
        return self.inner.evaluate(self.rig.expand(controls))

    def linearize(
        self, controls: Float[np.ndarray, "frames selected"]
    ) -> tuple[Float[np.ndarray, "frames coordinates"], Float[np.ndarray, "frames selected coordinates"]]:
        values, rows = self.inner.linearize(self.rig.expand(controls))
        return values, rows[:, self.rig.columns]


def restrict(rig: Rig, patterns: tuple[str, ...]) -> Rig:
    """The rig with only the controls that match a pattern (without a pattern: all that are not driven).

    Raises:
        BunrakuError: a pattern that matches nothing, or matches driven controls only.
    """
    spec = rig.spec
    columns = spec.select(patterns) if patterns else np.arange(len(spec))
    free = columns[~spec.driven[columns]]
    if len(free) == 0:
        raise BunrakuError(f"controls {', '.join(patterns)}: the rig itself drives all of them; none can be solved for")
    return _moving(rig, free, spec.neutral)


def hold(rig: Rig, values: Mapping[str, float]) -> Rig:
    """The rig without the controls named, which stay at these values (in their own units).

    Raises:
        BunrakuError: an unknown control, a value outside its bounds, or no control that is left to move.
    """
    spec, rest = rig.spec, rig.spec.neutral.copy()
    for name, value in values.items():
        column = spec.index(name)
        if not spec.lower[column] <= value <= spec.upper[column]:
            bounds = f"[{spec.lower[column]:g}, {spec.upper[column]:g}]"
            raise BunrakuError(f"control {name!r} is held at {value:g}, outside of its bounds {bounds}")
        rest[column] = value
    free = np.array([column for column, name in enumerate(spec.names) if name not in values], np.int64)
    if len(free) == 0:
        raise BunrakuError(f"all {len(spec)} controls are held; none is left to be solved for")
    return _moving(rig, free, rest)


def _moving(rig: Rig, free: Int[np.ndarray, "selected"], rest: Float[np.ndarray, "controls"]) -> Rig:
    if len(free) == len(rig.spec):
        return rig
    if isinstance(rig, DifferentiableRig):
        return RestrictedDifferentiable(rig, free, rest)
    return Restricted(rig, free, rest)
