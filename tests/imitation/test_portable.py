"""Numbers and words for the player, on a body of every kind of joint."""

import json

import mujoco
import numpy as np
import pytest

from bunraku.core.clip import clip
from bunraku.core.rotations import quat_from_rotvec
from bunraku.core.skeleton import skeleton
from bunraku.imitation.character import build, character_from_xml
from bunraku.imitation.clip_environment import ClipConfig, ClipEnvironment
from bunraku.imitation.policy import Policy
from bunraku.imitation.portable import following_numbers, following_words, joint_words
from bunraku.player import FORMAT, Follower

BODY = """
<mujoco>
  <option timestep="0.004166667" integrator="implicitfast" gravity="0 0 0"/>
  <worldbody>
    <body name="trunk" pos="0 0 1">
      <freejoint name="trunk"/><geom type="sphere" size=".1" mass="5"/>
      <body name="arm" pos="0 .2 .1" euler="20 10 0">
        <joint name="swing" type="hinge" axis="1 0 0" pos="0 0 .05"/>
        <joint name="lift" type="hinge" axis="0 .6 .8" pos="0 .02 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03" mass="1"/>
        <body name="hand" pos="0 0 -.3" euler="0 0 40">
          <joint name="hand" type="ball"/><geom type="box" size=".05 .02 .05" mass=".5"/>
        </body>
      </body>
      <body name="leg" pos="0 -.2 -.1">
        <joint name="slide" type="slide" axis="0 0 1" stiffness="500" damping="10"/>
        <joint name="knee" type="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.4" size=".04" mass="2"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="swing" joint="swing" kp="20" kv="2" gear="2"/><position name="lift" joint="lift" kp="20" kv="2"/>
    <position name="hx" joint="hand" kp="5" kv=".5" gear="1 0 0"/>
    <position name="hy" joint="hand" kp="5" kv=".5" gear="0 1 0"/>
    <position name="hz" joint="hand" kp="5" kv=".5" gear="0 0 2"/>
    <motor name="knee" joint="knee"/>
  </actuator>
</mujoco>
"""
STEPS = 30


def waving(loop, seconds=1.0):
    """All its joints move; the hand by more than half a turn."""
    model = mujoco.MjModel.from_xml_string(BODY)
    names = ["trunk", "arm", "hand", "leg"]
    pos, quat = (np.array([getattr(model.body(name), what) for name in names]) for what in ("pos", "quat"))
    bones = skeleton(names, [-1, 0, 1, 0], pos, quat)
    u = np.linspace(0, 1, 21)
    turns = np.stack(
        [np.outer(np.sin(2 * np.pi * u), axis) for axis in ([0.3, 0.2, 0.1], [0.5, 0, 0], [0, 4, 0], [0, 0.4, 0])]
    )
    root = np.stack([u, 0.1 * u, 1 + 0 * u], axis=1)
    return clip(bones, seconds * u, root, np.moveaxis(quat_from_rotvec(turns), 0, 1), loop)


def made(tmp_path, cfg, loop):
    """An environment, and a random policy's player for it."""
    character = character_from_xml(BODY, "body")
    built, follows = build(character), waving(loop)
    environment = ClipEnvironment(character, follows, cfg)
    rng, size = np.random.default_rng(0), environment.observation_size
    shapes = [(32, size), (6, 32)]
    layers = tuple(
        ((rng.normal(size=s) / np.sqrt(s[1])).astype("f4"), rng.normal(size=s[0]).astype("f4")) for s in shapes
    )
    policy = Policy(layers, "elu", np.zeros(size), np.ones(size), environment.layout)
    about = {
        "layout": [{"name": slot.name, "size": slot.size} for slot in policy.layout],
        "joints": joint_words(built.anatomy),
        "activation": "elu",
        "layers": 2,
        "limit": 10.0,
        "control_hz": character.control_hz,
        **following_words(built, follows, cfg),
    }
    words = {"format": np.array(FORMAT), "about": np.array(json.dumps(about))}
    bounds = {"lowest_control": np.full(6, -np.inf), "highest_control": np.full(6, np.inf)}
    own = {"reference_control": built.reference_control, "action_scale": np.array(character.action_scale), **bounds}
    np.savez(tmp_path / "p.npz", **policy.arrays(""), **own, **words, **following_numbers(built, follows))
    return environment, policy, Follower(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("loop", "settings"),
    [("wrap", {}), ("none", {}), ("wrap", {"action": "absolute"}), ("wrap", {"lead": 0.5})],
)
def test_player_and_environment_see_and_set_the_same(loop, settings, tmp_path):
    cfg = ClipConfig(count=1, episode_s=60.0, fall=(), stray_m=0.0, stray_rad=0.0, **settings)
    environment, policy, follower = made(tmp_path, cfg, loop)
    given, advance = [], environment.simulation.advance
    environment.simulation.advance = lambda controls, *force: (given.append(controls), advance(controls, *force))[1]
    environment.reset(0)
    seen = environment.begin(np.array([0.2]))
    qpos, qvel = follower.begin(0.2)
    np.testing.assert_allclose(qpos, environment.simulation.qpos[0], atol=1e-12)
    np.testing.assert_allclose(qvel, environment.simulation.qvel[0], atol=1e-12)
    assert np.abs(qvel - follower.wanted(0.2)[1]).max() > 1e-3, "velocities to begin with are not the clip's own"
    for _ in range(STEPS):
        qpos, qvel = environment.simulation.qpos[0].copy(), environment.simulation.qvel[0].copy()
        time_s = float(environment.times_s[0])
        controls = follower.controls(qpos, qvel, time_s)
        np.testing.assert_allclose(follower.observation(qpos, qvel, time_s), seen[0], rtol=1e-6, atol=1e-6)
        step = environment.step(policy.act(seen))
        assert not (step.terminated | step.truncated).any()
        np.testing.assert_allclose(controls, given[-1][0], atol=1e-6)
        seen = step.observation
    # Past the end of the clip: into its second cycle, or to where its last pose is held.
    assert environment.times_s[0] > environment.table.duration_s
    environment.close()


def test_joints_are_told_in_the_models_order_with_their_addresses():
    told = joint_words(build(character_from_xml(BODY, "body")).anatomy)
    assert [(joint["name"], joint["kind"], joint["qpos"], joint["qvel"]) for joint in told] == [
        ("trunk", "free", 0, 0),
        ("swing", "hinge", 7, 6),
        ("lift", "hinge", 8, 7),
        ("hand", "ball", 9, 8),
        ("slide", "slide", 13, 11),
        ("knee", "hinge", 14, 12),
    ]


def test_what_a_player_does_not_know_it_names(tmp_path):
    environment, _, follower = made(tmp_path, ClipConfig(count=1), "wrap")
    follower.player.layout[3]["name"] = "moon.phase"
    with pytest.raises(ValueError, match=r"sees 'moon\.phase', which this player does not know"):
        follower.controls(*follower.begin(), 0.0)
    environment.close()
