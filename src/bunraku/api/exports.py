"""Takes, models and encoders in files for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import loaded_model, refuse_existing
from bunraku.api.take_files import TakeFile, write_take
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.controls import ControlSpec
    from bunraku.imitation.render import RenderConfig


def export(
    path: Path,
    to: Path,
    *,
    rig: str | None = None,
    pictures: RenderConfig | None = None,
    seconds: float = 0.0,
    sheet: int = 12,
    written: TakeFile | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A take to .csv, .json, .npz (solved mesh and curves), .anim, .usda, .glb/.gltf/.blend (copies of the rig's file)
    or pictures (.mp4, .gif, `sheet` of them as .png); a model or an encoder to .npz or .onnx. `written` says how a
    take's curves are.
    """
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    kind = artifact.read_manifest(path)["kind"]
    if kind not in ("take", "model", "encoder"):
        raise BunrakuError(f"{path}: is a {kind}; a take, a model or an encoder can be exported")
    refuse_existing(to, overwrite)
    if kind == "take" and to.suffix.lower() in (".mp4", ".gif", ".png"):
        from bunraku.api.picturing import film_take

        return film_take(path, to, rig=rig, cfg=pictures, seconds=seconds, sheet=sheet, progress=progress)
    told: dict[str, Any] = {}
    if kind == "take":
        told = write_take(path, to, rig, written, progress)
    else:
        _export_arrays(path, to)
    return {"path": str(to), "kind": kind, "bytes": to.stat().st_size, **told}


def _export_arrays(path: Path, to: Path) -> None:
    import numpy as np

    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError

    kind = artifact.read_manifest(path)["kind"]
    if to.suffix.lower() == ".onnx":
        (_export_model_onnx if kind == "model" else _export_encoder_onnx)(path, to)
        return
    if to.suffix.lower() != ".npz":
        raise BunrakuError(f"{to}: a model or encoder is written as .npz or .onnx")
    stored = artifact.load(path, kind)
    arrays = dict(stored.arrays)
    arrays["description"] = np.frombuffer(json.dumps(stored.manifest["description"]).encode(), np.uint8)
    with artifact.disk_errors(to), to.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def _export_model_onnx(path: Path, to: Path) -> None:
    from bunraku.formats.onnx import approximation_graph, require_onnx, save_onnx

    require_onnx(to)
    model = loaded_model(path)
    graph = approximation_graph(
        centre=model.centre,
        spread=model.spread,
        scale=model.scale,
        skip=model.skip,
        terms=model.terms,
        products=model.products,
        layers=model.layers,
        activation=model.activation,
        mean=model.mean,
        basis=model.basis,
    )
    save_onnx(to, graph, _control_metadata(model.spec))


def _export_encoder_onnx(path: Path, to: Path) -> None:
    from bunraku.formats.onnx import encoder_graph, require_onnx, save_onnx
    from bunraku.inversion.encoder import load_encoder

    require_onnx(to)
    encoder = load_encoder(path)
    spec = encoder.spec
    graph = encoder_graph(
        mean=encoder.mean,
        basis=encoder.basis,
        unit=encoder.unit,
        skip=encoder.skip,
        layers=encoder.layers,
        neutral=spec.neutral,
        span=spec.range,
        lower=spec.lower,
        upper=spec.upper,
    )
    save_onnx(to, graph, _control_metadata(spec))


def _control_metadata(spec: ControlSpec) -> dict[str, str]:
    """Names, units and bounds of the controls, in the order of the network's columns."""

    columns = {"lower": spec.lower.tolist(), "upper": spec.upper.tolist(), "neutral": spec.neutral.tolist()}
    columns |= {"controls": list(spec.names), "units": list(spec.units)}
    return {name: json.dumps(values) for name, values in columns.items()}
