"""Any Python function as a rig: `python:module:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int

from bunraku.compute.attempt import attempt
from bunraku.core.controls import ControlSpec, control_spec
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.mesh_sequence import mesh_sequence
from bunraku.core.rig import diagonal

_FIELDS = ("name", "lower", "upper", "neutral", "unit", "driven")
_NEUTRAL_TOLERANCE = 1e-4
"""How far (as a share of the diagonal) a declared neutral mesh may be from what the function returns."""


@dataclass(frozen=True, eq=False)
class PythonRig:
    """A function from control values to vertices."""

    source: str
    """`python:module:function`."""
    file: Path | None
    """Where the function's module is, where that is known; a hash of it tells when the rig has changed."""
    function: Callable[[np.ndarray], Any]
    batched: bool
    """True if it takes (N, C) and returns (N, V, 3), False if it takes one pose (C,) and returns (V, 3)."""
    spec: ControlSpec
    faces: Int[np.ndarray, "triangles 3"]
    neutral: Float[np.ndarray, "vertices 3"]

    def evaluate(self, controls: Float[np.ndarray, "poses controls"]) -> Float[np.ndarray, "poses vertices 3"]:
        """The mesh of every pose, float64.

        Raises:
            BunrakuError: the function raises, or returns another shape.
        """
        shape = self.neutral.shape
        if self.batched:
            return _call(self.source, self.function, controls, (len(controls), *shape))
        meshes = np.empty((len(controls), *shape))
        for pose, values in enumerate(controls):
            meshes[pose] = _call(self.source, self.function, values, shape)
        return meshes


def open_python_rig(source: str) -> PythonRig:
    """Import `python:module:function` (from the current directory too) and look at what it is.

    The function is called with an array, (N, C) or (C,): which of them it wants is found out by trying. Attributes of
    the function, or else of its module, say the rest: `controls` (a list of names, a list of `{name, lower, upper,
    neutral, unit, driven}`, or a `ControlSpec`); optional `rotations` (triples of names), `faces` (T, 3) and
    `neutral` (V, 3), which is compared with what the function returns.

    Raises:
        BunrakuError: not of that form, no such module or function, no or wrong controls, an import or a call that
            fails, a result that is no mesh.
    """
    prefix, _, named = source.partition(":")
    module_name, _, function_name = named.partition(":")
    if prefix != "python" or not module_name or not function_name:
        raise BunrakuError(f"{source}: expected python:module:function")
    module = _import(source, module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise unknown_name("function", function_name, known, f"{module_name} has")
    spec = _spec(source, function, module)
    batched, neutral = _try_out(source, function, spec)
    declared = _declared(function, module, "neutral")
    if declared is not None:
        _compare(source, declared, neutral)
    triangles = _declared(function, module, "faces")
    faces = None if triangles is None else _array(source, "faces", triangles, "iu")
    checked = mesh_sequence(neutral[None], faces, name=source).faces
    origin = getattr(module, "__file__", None)
    return PythonRig(source, Path(origin) if origin else None, function, batched, spec, checked, neutral)


def _import(source: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # stays: the rig may import its own modules only when it is called
    importlib.invalidate_caches()
    tried = attempt(importlib.import_module, name)
    if isinstance(tried.error, ModuleNotFoundError) and f"{name}.".startswith(f"{tried.error.name}."):
        raise BunrakuError(f"{source}: no module {tried.error.name!r} in {here} nor among the installed ones")
    if tried.failure is not None:
        raise BunrakuError(f"{source}: importing {name} failed: {tried.failure}")
    return tried.value


def _declared(function: Any, module: ModuleType, name: str) -> Any:
    value = getattr(function, name, None)
    return getattr(module, name, None) if value is None else value


def _spec(source: str, function: Any, module: ModuleType) -> ControlSpec:
    declared = _declared(function, module, "controls")
    name = source.rpartition(":")[2]
    if declared is None:
        advice = f'{name}.controls = ["jaw", …], or a list of {{"name", "lower", "upper", "neutral", "unit"}}'
        raise BunrakuError(f"{source}: does not say what its controls are; add {advice}")
    if isinstance(declared, ControlSpec):
        return declared
    if isinstance(declared, str) or not isinstance(declared, Sequence):
        raise BunrakuError(f"{source}: controls is a {type(declared).__name__}; expected a list of names or of dicts")
    entries = [_entry(source, item) for item in cast("Sequence[Any]", declared)]
    names = [entry["name"] for entry in entries]
    triples = _declared(function, module, "rotations")
    columns: list[list[int]] = []
    for triple in () if triples is None else triples:
        unknown = [one for one in triple if one not in names]
        if unknown or len(triple) != 3:
            raise BunrakuError(f"{source}: rotations: {list(triple)} is not three names of controls")
        columns.append([names.index(one) for one in triple])
    lower, upper, neutral = ([float(entry[key]) for entry in entries] for key in ("lower", "upper", "neutral"))
    units, driven = [str(entry["unit"]) for entry in entries], [bool(entry["driven"]) for entry in entries]
    try:
        return control_spec(names, lower, upper, neutral, units, driven, columns)
    except BunrakuError as error:
        raise BunrakuError(f"{source}: {error}") from None


def _entry(source: str, item: Any) -> dict[str, Any]:
    given: Mapping[str, Any] = {"name": item} if isinstance(item, str) else {}
    if isinstance(item, Mapping):
        given = cast("Mapping[str, Any]", item)
    if not isinstance(given.get("name"), str):
        raise BunrakuError(f"{source}: controls: {item!r} is neither a name nor a dict with a name")
    for key in given:
        if key not in _FIELDS:
            raise unknown_name("field", key, _FIELDS, f"{source}: control {given['name']!r} may have")
    entry: dict[str, Any] = {"lower": 0.0, "upper": 1.0, "neutral": 0.0, "unit": "1", "driven": False, **given}
    for key in ("lower", "upper", "neutral"):
        if isinstance(entry[key], bool) or not isinstance(entry[key], (int, float, np.number)):
            raise BunrakuError(f"{source}: control {given['name']!r}: {key} is {entry[key]!r}; expected a number")
    return entry


def _try_out(source: str, function: Callable[[np.ndarray], Any], spec: ControlSpec) -> tuple[bool, np.ndarray]:
    """Whether it takes batches, and its mesh at neutral."""
    # Never as many poses as controls: then a single-pose function could take a batch for a pose.
    poses = 2 if len(spec) != 2 else 3
    batch = attempt(_mesh, function, np.tile(spec.neutral, (poses, 1)))
    if batch.failure is None and batch.value.ndim == 3 and batch.value.shape[::2] == (poses, 3):
        return True, batch.value[0]
    single = attempt(_mesh, function, spec.neutral.copy())
    if single.failure is None and single.value.ndim == 2 and single.value.shape[1] == 3:
        return False, single.value
    tried = [
        f"({', '.join(map(str, shape))}): {call.failure or f'returned shape {call.value.shape}'}"
        for shape, call in (((poses, len(spec)), batch), ((len(spec),), single))
    ]
    raise BunrakuError(
        f"{source}: must return (poses, vertices, 3) for (poses, controls), or (vertices, 3) for (controls,); "
        f"called with {'; with '.join(tried)}"
    )


def _mesh(function: Callable[[np.ndarray], Any], controls: np.ndarray) -> np.ndarray:
    return np.asarray(function(controls)).astype(np.float64)


def _call(
    source: str, function: Callable[[np.ndarray], Any], controls: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    tried = attempt(_mesh, function, controls.copy())  # a function may write into its argument
    if tried.failure is not None:
        raise BunrakuError(f"{source}: {tried.failure}") from tried.error
    if tried.value.shape != shape:
        raise BunrakuError(
            f"{source}: returned shape {tried.value.shape} for controls {controls.shape}; expected {shape}"
        )
    return tried.value


def _compare(source: str, declared: Any, neutral: np.ndarray) -> None:
    mesh = _array(source, "neutral", declared, "iuf")
    if mesh.shape != neutral.shape:
        raise BunrakuError(f"{source}: neutral has shape {mesh.shape}; the function returns {neutral.shape}")
    off = float(np.linalg.norm(mesh - neutral, axis=1).max())
    if not off <= _NEUTRAL_TOLERANCE * max(diagonal(neutral), 1e-300):
        raise BunrakuError(
            f"{source}: neutral is {off:.3g} away from the mesh that the function returns at the neutral controls"
        )


def _array(source: str, name: str, value: Any, kinds: str) -> np.ndarray:
    tried = attempt(np.asarray, value)
    if tried.failure is not None or tried.value.dtype.kind not in kinds:
        raise BunrakuError(f"{source}: {name} is not an array of {'whole numbers' if kinds == 'iu' else 'numbers'}")
    return tried.value
