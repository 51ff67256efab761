"""Rigs of .blend files inverted through Blender: the fox's two shots, and Blender's Rigify human as a black box.

    BUNRAKU_DATA=… python benchmarks/rig_blender.py [--only fox|followed|human|everything|workers] [--samples 4000]

The fox is bones and skin alone, which Bunraku finds out and confirms; the human is a black box, followed on the rig
itself (what `rig invert` chooses by itself), and sampled and approximated, its 67 channels named; and followed with all
that was discovered. Needs a Blender: `bunraku host install blender`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, print_table, record

REFINE = 10
KEPT = ("relative_error", "max_vertex_error", "control_error", "rig_evaluations", "cpu_seconds", "wall_seconds")
SHORT = {"location": "t", "rotation_euler": "r", "scale": "s"}


def fox(data: Path) -> list[dict[str, Any]]:
    """Both shots, through Blender."""
    rows = []
    for shot in ("fox_idle", "fox_sit"):
        raw = np.load(data / "sequences" / f"{shot}.npz")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "shot.npz"
            names, values = true_fox(raw)
            curves = {"curves": values, "control_names": names}
            np.savez(file, vertices=raw["vertices"], faces=raw["faces"], fps=raw["fps"], **curves)
            rows.append(inverted(shot, file, data / "rigs" / "fox.blend", Path(folder) / "take"))
    return rows


def true_fox(raw: Any) -> tuple[list[str], np.ndarray]:
    """The pose that the shot was made with, as rotation vectors."""
    from bunraku.core.rotations import rotvec_from_matrix, unwrap_rotvecs

    basis = np.asarray(raw["bone_basis"], np.float64)
    turns = unwrap_rotvecs(rotvec_from_matrix(basis[..., :3, :3]))
    names = [f"{bone}.r{axis}" for bone in raw["bone_names"] for axis in "xyz"]
    return names, turns.reshape(len(turns), -1)


def human_channels(data: Path) -> list[str]:
    """The names of the channels that the human's shot moves."""
    names = []
    for channel in np.load(data / "sequences" / "rigify_human.npz")["channels"]:
        bone, attribute, axis = str(channel).split("|")
        names.append(f"{bone}.{attribute[2:-2]}" if axis == "-1" else f"{bone}.{SHORT[attribute]}{'xyz'[int(axis)]}")
    return names


def human_shot(data: Path, folder: Path) -> Path:
    """The human's shot with its true curves, for the control error alone: the channels are Euler angles, controls are
    rotation vectors.
    """
    from bunraku.core.rotations import rotvec_from_quat, unwrap_rotvecs
    from bunraku.rigs.blender_curves import quats

    raw, names = np.load(data / "sequences" / "rigify_human.npz"), human_channels(data)
    values = np.asarray(raw["true_channels"], np.float64)
    for bone in {name[:-3] for name in names if name.endswith(".rx")}:
        columns = [names.index(f"{bone}.r{axis}") for axis in "xyz"]
        values[:, columns] = unwrap_rotvecs(rotvec_from_quat(quats(values[:, columns], "XYZ")))
    np.savez(folder / "shot.npz", vertices=raw["vertices"], fps=raw["fps"], curves=values, control_names=names)
    return folder / "shot.npz"


def followed(data: Path, named: bool) -> dict[str, Any]:
    """The Rigify human as a black box, followed on the rig itself."""
    rig, name = data / "rigs" / "rigify_human.blend", "rigify_human, followed" + ("" if named else ", everything")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        controls = human_channels(data) if named else []
        return inverted(name, human_shot(data, place), rig, place / "take", controls=controls)


def human(data: Path, samples: int) -> dict[str, Any]:
    """The Rigify human as a black box: sampled, approximated, inverted."""
    from bunraku import api
    from bunraku.inversion.draw import SampleConfig

    rig, controls = data / "rigs" / "rigify_human.blend", tuple(human_channels(data))
    with tempfile.TemporaryDirectory() as folder:
        place, began = Path(folder), time.perf_counter()
        shot = human_shot(data, place)
        done = api.sample(str(rig), place / "set", SampleConfig(samples), controls=controls)
        model = api.fit(place / "set", place / "model")
        row = inverted("rigify_human, sampled", shot, rig, place / "take", place / "model", list(controls))
    made = {"samples": samples, "sample_s": done["seconds"], "test_relative_error": model["test_relative_error"]}
    return {**row, **made, "all_wall_seconds": time.perf_counter() - began}


def inverted(
    name: str, shot: Path, rig: Path, out: Path, model: Path | None = None, controls: Sequence[str] = ()
) -> dict[str, Any]:
    """One inversion, and what of its metrics is kept."""
    from bunraku import api
    from bunraku.inversion.invert import InvertConfig

    result = api.invert_file(shot, str(rig), out, InvertConfig(refine=REFINE), model=model, controls=tuple(controls))
    row = {"shot": name, "frames": result["frames"], "controls": result["controls"]}
    row |= {key: result.get(key) for key in KEPT}
    groups = {key: result[key] for key in ("unobservable", "interchangeable", "interchangeable_groups")}
    return {**row, **{key: len(names) for key, names in groups.items()}, "groups": groups}


def workers(data: Path) -> dict[str, Any]:
    """How much faster two workers sample than one, which has all cores to itself, or than one on one core."""
    from bunraku import api
    from bunraku.compute.threads import CORES
    from bunraku.inversion.draw import SampleConfig

    rig, rates = str(data / "rigs" / "rigify_human.blend"), {}
    for name, count, cores in (("one", 1, None), ("one_on_one_core", 1, "1"), ("two", 2, None)):
        with tempfile.TemporaryDirectory() as folder:
            cfg = SampleConfig(4000, shard=50)
            if cores is not None:
                os.environ[CORES] = cores
            done = api.sample(rig, Path(folder) / "set", cfg, controls=tuple(human_channels(data)), workers=count)
            os.environ.pop(CORES, None)
            rates[f"{name}_per_s"] = done["evaluations_per_second"]
    return {"shot": "two workers", **rates, "ratio": rates["two_per_s"] / rates["one_per_s"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("fox", "followed", "human", "everything", "workers"))
    parser.add_argument("--samples", type=int, default=4000)
    said = parser.parse_args()
    data = Path(os.environ["BUNRAKU_DATA"])
    jobs = {
        "fox": lambda: fox(data),
        "followed": lambda: [followed(data, named=True)],
        "human": lambda: [human(data, said.samples)],
        "everything": lambda: [followed(data, named=False)],
        "workers": lambda: [workers(data)],
    }
    before = RESULTS / "rig_blender.json"
    rows = {row["shot"]: row for row in json.loads(before.read_text())["rows"]} if before.exists() else {}
    for name, job in jobs.items():
        if said.only in (None, name):
            rows |= {row["shot"]: row for row in job()}
            config = {"refine": REFINE, "samples": said.samples, "load": os.getloadavg(), "fps": str(Fraction(24))}
            record("rig_blender", config, list(rows.values()))
    print_table("Rigs of .blend files", [{k: v for k, v in row.items() if k != "groups"} for row in rows.values()])


if __name__ == "__main__":
    main()
