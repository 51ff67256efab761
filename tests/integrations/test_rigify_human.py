"""The human that our script has Rigify generate, as Blender evaluates it."""

import subprocess

import numpy as np
import pytest

from bunraku.rigs.blender import open_blend_rig
from bunraku.rigs.blender_program import find_blender
from bunraku.rigs.integration import integration

ASK = """
import bpy, sys
bpy.ops.wm.open_mainfile(filepath=sys.argv[1], use_scripts=False)
body = bpy.data.objects["body"]
weights = [sum(one.weight for one in vertex.groups) for vertex in body.data.vertices]
rig = body.parent
rig.pose.bones["hand_ik.L"].location = (-0.2, 0.2, 0.2)
bpy.context.view_layer.update()
keys = body.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks
values = [keys[name].value for name in ("biceps.L", "biceps.R")]
print("asked", len(bpy.data.texts), len(bpy.data.libraries), min(weights), max(weights), *values)
"""


@pytest.fixture(scope="module")
def file(blender, tmp_path_factory):
    path = tmp_path_factory.mktemp("rigify") / "human.blend"
    words = find_blender().words(integration("blender/rigify_human.py"), (str(path),), scripts=False)
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    return path


@pytest.fixture(scope="module")
def rig(file):
    opened = open_blend_rig(str(file))
    yield opened
    opened.close()


def posed(rig, **values):
    pose = rig.spec.neutral.copy()
    for name, value in values.items():
        pose[rig.spec.names.index(name.replace("__", "."))] = value
    return rig.evaluate(pose[None])[0]


def test_more_than_two_hundred_controls_are_found_and_what_is_driven_is_none(rig):
    assert len(rig.spec) >= 200
    driven = {one.name for one in rig.description.left_out if one.why == "driven"}
    assert driven == {"body.biceps.L", "body.biceps.R", "body.breath"}
    assert {"torso.tz", "hand_ik.L.rx", "foot_ik.R.ty", "chest.breath", "tweak_spine.001.tx"} <= set(rig.spec.names)


@pytest.fixture(scope="module")
def asked(file):
    """What bpy itself says of the file: scripts, libraries, sums of weights, and two keys as one elbow bends."""
    program = find_blender()
    if program.kind != "python":
        pytest.skip("asked of a Python that has bpy")
    done = subprocess.run([program.path, "-I", "-c", ASK, str(file)], capture_output=True, text=True, check=True)
    return next([float(w) for w in line.split()[1:]] for line in done.stdout.splitlines() if line.startswith("asked"))


def test_nothing_in_the_file_could_run_and_all_weights_sum_to_one(asked):
    assert asked[:2] == [0, 0]
    assert asked[2:4] == pytest.approx([1.0, 1.0], abs=1e-5)


def test_an_elbow_that_bends_drives_its_own_biceps(asked):
    bent, straight = asked[4:]
    assert bent > straight + 0.05
    assert straight < 0.1


def test_the_body_is_one_closed_surface_of_human_size(rig):
    edges = np.sort(np.concatenate([rig.faces[:, [0, 1]], rig.faces[:, [1, 2]], rig.faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert 1.6 < np.ptp(rig.neutral[:, 2]) < 2.2
    assert 2000 < len(rig.neutral) < 8000


def test_controls_move_what_they_should(rig):
    rest, height = rig.neutral, rig.neutral[:, 2]
    lifted = posed(rig, torso__tz=0.1) - rest
    # The torso's own z is forward or up, as Rigify has it: the trunk moves with it, the feet stay on their handles.
    assert np.linalg.norm(lifted, axis=1)[height > 1.5].min() > 0.05
    assert np.linalg.norm(lifted, axis=1)[height < 0.05].max() < 0.02
    breath = posed(rig, chest__breath=1.0) - rest
    assert 0.005 < np.linalg.norm(breath, axis=1).max() < 0.1
    assert np.linalg.norm(breath, axis=1)[height < 0.8].max() < 1e-6
