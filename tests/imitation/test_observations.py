"""What a policy sees, and that its layout says so."""

import numpy as np

from bunraku.core.rotations import quat_from_rotvec
from bunraku.imitation.character import build, character_from_xml, open_character
from bunraku.imitation.observations import Slot, layout, observe
from bunraku.imitation.reference import fixed_pose
from bunraku.imitation.tracking import Tracking

FREE = """<mujoco><worldbody><body name="a"><freejoint name="root"/><geom size=".1" mass="1"/>
<body name="b"><joint name="wheel"/><geom size=".1" mass="1"/></body></body></worldbody>
<actuator><motor joint="wheel"/></actuator></mujoco>"""


def tracked(character, qpos, qvel, phase=0.0):
    built = build(character)
    qpos, qvel = np.array([qpos], float), np.array([qvel], float)
    weights = np.array(character.joint_weights)
    return Tracking(built.anatomy, weights, qpos, qvel, qpos, fixed_pose(built).pose, np.array([phase]))


def test_a_hinge_is_seen_as_its_angle_and_rate():
    seen = tracked(open_character("bopbag"), [0.4], [-2.0])
    assert layout(seen.body, clip=False) == (Slot("hinge.angle", 1, "rad"), Slot("hinge.velocity", 1, "rad/s"))
    np.testing.assert_allclose(observe(seen, clip=False), [[0.4, -2.0]], rtol=1e-6)


def test_a_ball_is_seen_as_its_rotation_vector_and_springs_as_offsets():
    quat = quat_from_rotvec(np.array([0.1, 0.2, -0.3]))
    seen = tracked(open_character("bopbag6"), [0.01, 0.02, 0.03, *quat], [4, 5, 6, 7, 8, 9])
    assert [slot.name for slot in layout(seen.body, clip=False)] == [
        "ball.rotvec",
        "offset",
        "ball.velocity",
        "offset.velocity",
    ]
    wanted = [0.1, 0.2, -0.3, 0.01, 0.02, 0.03, 7, 8, 9, 4, 5, 6]
    np.testing.assert_allclose(observe(seen, clip=False), [wanted], rtol=1e-6)


def test_what_may_turn_freely_is_seen_without_a_jump():
    character = character_from_xml(FREE, "free")
    seen = tracked(character, [1, 2, 3, 0, 0, 0, 1, np.pi], np.zeros(7), phase=0.25)
    slots = layout(seen.body, clip=True)
    assert [(slot.name, slot.size) for slot in slots[:3]] == [("wheel.sin_cos", 2), ("root.sixd", 6), ("offset", 3)]
    values = observe(seen, clip=True)
    assert values.shape == (1, sum(slot.size for slot in slots))
    # Half a turn of the wheel; of the root, about z: columns (−1, 0, 0) and (0, −1, 0); a quarter of the clip.
    np.testing.assert_allclose(values[0, :11], [0, -1, -1, 0, 0, 0, -1, 0, 1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(values[0, -2:], [0, 1], atol=1e-6)
