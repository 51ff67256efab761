"""A small MJCF body with a free root, hinges and motors, as users bring them: no ground, no servos."""

WALKER = """<mujoco model="walker">
<compiler angle="radian"/><option timestep="0.004"/>
<worldbody><body name="pelvis" pos="0 0 1"><freejoint name="root"/>
  <geom name="pelvis" type="sphere" size=".1" mass="5"/>
  <body name="torso" pos="0 0 .1"><joint name="back" axis="0 1 0" range="-1 1"/>
    <geom name="torso" type="capsule" fromto="0 0 .1 0 0 .4" size=".1" mass="15"/></body>
LEGS</body></worldbody>
<actuator>MOTORS</actuator>EXTRA</mujoco>"""

_LEG = """<body name="SIDE_thigh" pos="0 Y 0">
  <joint name="SIDE_hip_x" axis="1 0 0" range="-1.2 1.2"/><joint name="SIDE_hip_z" axis="0 0 1" range="-1 1"/>
  <joint name="SIDE_hip_y" axis="0 1 0" range="-2 1"/>
  <geom name="SIDE_thigh" type="capsule" fromto="0 0 -.05 0 0 -.4" size=".05" mass="4"/>
  <body name="SIDE_shin" pos="0 0 -.45"><joint name="SIDE_knee" axis="0 1 0" range="0 2.6" armature=".01"/>
    <geom name="SIDE_shin" type="capsule" fromto="0 0 -.05 0 0 -.38" size=".04" mass="2"/>
    <body name="SIDE_foot" pos="0 0 -.42"><joint name="SIDE_ankle" axis="0 1 0" range="-.8 .8"/>
      <geom name="SIDE_foot" type="box" pos=".05 0 -.02" size=".1 .04 .02" mass=".8"/></body></body></body>
"""

MOTORS = (
    '<motor joint="back" gear="60" ctrllimited="true" ctrlrange="-1 1"/>'
    '<motor joint="left_hip_x" gear="100" ctrllimited="true" ctrlrange="-.5 .5"/>'
    '<motor joint="left_knee" gear="50" forcelimited="true" forcerange="-2 2"/>'
)
"""Limits of 60, 50 and 100 N m; other joints have no actuator."""


def walker(motors=MOTORS, extra="", legs=None):
    """Its text."""
    both = "".join(_LEG.replace("SIDE", side).replace("Y", y) for side, y in (("left", ".1"), ("right", "-.1")))
    return WALKER.replace("LEGS", both if legs is None else legs).replace("MOTORS", motors).replace("EXTRA", extra)


def written(folder, text=None, config=None, name="own"):
    """The file, with a config beside it."""
    (folder / f"{name}.xml").write_text(walker() if text is None else text)
    if config is not None:
        (folder / f"{name}.toml").write_text(config)
    return str(folder / f"{name}.xml")
