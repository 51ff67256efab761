"""Takes brought home into copies of .blend files, which Blender opens and plays again."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bunraku.api import export
from bunraku.api.take_files import TakeFile
from bunraku.core import artifact
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError
from bunraku.core.metrics import Metrics
from bunraku.core.rotations import quat_from_matrix, rotvec_from_quat, unwrap_rotvecs
from bunraku.core.take import KIND, Take, save_take
from bunraku.rigs.blender_program import find_blender
from bunraku.rigs.open import open_rig

HERE = Path(__file__).parents[1]
FRAMES = 12


def in_blender(script: str, *arguments: str) -> str:
    words = find_blender().words(HERE / script, arguments, scripts=False)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def looked_at(path: Path) -> dict:
    said = [line for line in in_blender("blender_look.py", str(path)).splitlines() if line.startswith("LOOK ")]
    return json.loads(said[0].removeprefix("LOOK "))


def stored(path: Path, rig: str, solved: Curves, vertices: int) -> Path:
    artifact.open_output(path, KIND, {"rig": {"source": rig, "sha256": None}}, seed=0, overwrite=True)
    nothing = np.zeros(solved.frames), np.zeros(vertices)
    save_take(path, Take(solved, Metrics({}, {}), *nothing, np.eye(3, 4), {}, {}))
    return path


@pytest.fixture(scope="module")
def column(blender: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("column") / "column.blend"
    in_blender("blender_column.py", str(path))
    return str(path)


@pytest.fixture(scope="module")
def take(column: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    t = np.linspace(0, 1, FRAMES)
    moved = {
        "low.rx": 0.4 * np.sin(4 * t),
        "low.rz": 0.2 * t,
        "low.sy": 1 + 0.3 * t,
        "low.grow": 0.25 + 0.5 * t,
        "middle.rx": 0.9 * t,
        "middle.ry": -0.5 * t,
        "middle.rz": 1.5 * np.sin(3 * t),
        "high.rx": 0.3 * np.sin(6 * t),
        "Column.Wide": t**2,
    }
    solved = curves(tuple(moved), np.stack(list(moved.values()), axis=1), Fraction(24000, 1001), 101)
    return stored(tmp_path_factory.mktemp("take") / "shot", column, solved, 16)


def test_a_copy_is_keyed_and_plays_the_take(take: Path, column: str, tmp_path: Path) -> None:
    before = Path(column).read_bytes()
    done = export(take, tmp_path / "home.blend")
    assert done["relative_error"] < 1e-5
    assert done["reevaluated_max_error"] < 1e-4
    assert done["keyed_controls"] == 12  # three rotations, each whole, a scale, a property and a shape key
    assert Path(column).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["home.blend"]
    there = looked_at(tmp_path / "home.blend")
    assert there["fps"] == [24, pytest.approx(1.001)]
    assert there["range"] == [101, 112]
    assert there["action"] in ("shot", "shot Rig")  # before Blender 4.4 an action for each object
    assert set(there["actions"]) == {"Old", "shot"}
    keyed = {name.rpartition("[")[0] for name in there["actions"]["shot"]}
    assert keyed == {
        'pose.bones["low"].rotation_quaternion',
        'pose.bones["low"].scale',
        'pose.bones["low"]["grow"]',
        'pose.bones["middle"].rotation_euler',
        'pose.bones["high"].rotation_axis_angle',
        'key_blocks["Wide"].value',
    }
    assert 'pose.bones["low"].scale[0]' not in there["actions"]["shot"]


def test_a_layer_is_combined_with_what_was_there(column: str, take: Path, tmp_path: Path) -> None:
    at_film_rate = curves(("low.rx", "middle.rz", "low.sx"), np.tile([0.3, -0.8, 1.2], (6, 1)), 24, 3)
    above = stored(tmp_path / "above", column, at_film_rate, 16)
    done = export(above, tmp_path / "layer.blend", written=TakeFile(layer=True))
    assert done["beneath"] == ['pose.bones["high"].location']  # still moves the mesh: no control of the take
    assert done["relative_error"] > 0
    there = looked_at(tmp_path / "layer.blend")
    assert there["action"] is None
    assert [track["strips"] for track in there["tracks"]] == [[["Old", "REPLACE"]], [["above", "COMBINE"]]]
    assert there["fps"] == [24, 1.0]
    with pytest.raises(BunrakuError, match=r"plays 24 frames/s, the take 24000/1001"):
        export(take, tmp_path / "no.blend", written=TakeFile(layer=True))


def test_a_layer_over_everything_that_moves_gives_the_take(column: str, tmp_path: Path) -> None:
    rig = open_rig(column)
    names = [*(f"{bone}.r{axis}" for bone in ("low", "middle") for axis in "xyz"), "high.tx", "high.ty", "high.tz"]
    random = np.random.default_rng(0)
    solved = curves(names, 0.3 * random.standard_normal((8, len(names))), 24, 1)
    above = stored(tmp_path / "above", column, solved, len(rig.neutral))
    done = export(above, tmp_path / "layer.blend", written=TakeFile(layer=True, every_frame=True))
    # Blender combines quaternions by way of an arc cosine in single precision.
    assert done["beneath"] == []
    assert done["relative_error"] < 2e-4


def test_keys_of_a_simplified_take_are_those_that_are_written(take: Path, tmp_path: Path) -> None:
    from bunraku.api.simplifying import simplify
    from bunraku.inversion.simplify import SimplifyConfig

    simplify(take, SimplifyConfig("1%"), out=tmp_path / "keys")
    done = export(take, tmp_path / "home.blend", written=TakeFile(keys=tmp_path / "keys" / "keys.json"))
    assert done["keys"] < 60  # of 12 frames of 19 curves
    assert done["relative_max_error"] < 1.5e-2


def test_a_rig_that_is_no_blend_file_has_no_copy(tmp_path: Path) -> None:
    solved = curves(("TX",), np.zeros((2, 1)), 24, 1)
    cube = stored(tmp_path / "cube", "cube", solved, 8)
    with pytest.raises(BunrakuError, match=r"only a take on a \.blend rig"):
        export(cube, tmp_path / "home.blend")
    with pytest.raises(BunrakuError, match=r"--layer goes with \.blend"):
        export(cube, tmp_path / "home.csv", written=TakeFile(layer=True))


def test_the_rigs_own_file_is_never_written(take: Path, column: str) -> None:
    with pytest.raises(BunrakuError, match="is the rig's own file"):
        export(take, Path(column), overwrite=True)


@pytest.mark.parametrize("name", ["fox_sit"])
def test_the_fox_comes_home(name: str, blender: str, data_dir: Path, tmp_path: Path) -> None:
    source = str(data_dir / "rigs" / "fox.blend")
    rig = open_rig(source)
    sequence = np.load(data_dir / "sequences" / f"{name}.npz")
    solved = fox_curves(rig.spec.names, sequence["bone_basis"].astype(float), sequence["bone_names"], 0)
    mesh = rig.evaluate(solved.ordered_as(rig.spec))
    assert np.abs(mesh - sequence["vertices"]).max() < 1e-5
    done = export(stored(tmp_path / name, source, solved, len(rig.neutral)), tmp_path / "home.blend")
    assert done["relative_max_error"] <= 1e-5
    assert done["keys"] < 0.2 * solved.frames * done["curves"]


def fox_curves(names: tuple[str, ...], basis: np.ndarray, bones: np.ndarray, start: int) -> Curves:
    values = {}
    for bone, name in enumerate(bones):
        matrices = basis[:, bone]
        scale = np.linalg.norm(matrices[:, :3, :3], axis=1)
        turned = unwrap_rotvecs(rotvec_from_quat(quat_from_matrix(matrices[:, :3, :3] / scale[:, None])))
        for axis, letter in enumerate("xyz"):
            values[f"{name}.t{letter}"] = matrices[:, axis, 3]
            values[f"{name}.r{letter}"], values[f"{name}.s{letter}"] = turned[:, axis], scale[:, axis]
    chosen = [name for name in names if name in values]
    return curves(chosen, np.stack([values[name] for name in chosen], axis=1), 24, start)
