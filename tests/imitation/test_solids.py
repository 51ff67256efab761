import numpy as np

from bunraku.core.rotations import matrix_from_quat
from bunraku.imitation.character import build, character_from_xml, open_character
from bunraku.imitation.solids import solids

SHAPES = """
<mujoco>
  <asset><mesh name="wedge" vertex="0 0 0  1 0 0  0 2 0  0 0 4"/></asset>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body name="one"><joint type="hinge"/>
      <geom type="sphere" size=".1" pos="1 2 3"/>
      <geom type="ellipsoid" size=".1 .2 .3"/>
      <geom type="sphere" size="9" group="3"/>
      <body name="two"><joint type="hinge"/>
        <geom type="capsule" size=".1 .4" quat="0 1 0 0"/>
        <geom type="cylinder" size=".2 .5"/>
        <geom type="mesh" mesh="wedge"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="{}"/></actuator>
</mujoco>
""".replace('joint="{}"', 'joint="a"').replace('<joint type="hinge"/>', '<joint name="a" type="hinge"/>', 1)


def test_every_shape_of_a_body_is_a_solid_of_its_joint():
    made = solids(build(character_from_xml(SHAPES, "shapes")))
    assert [(solid.joint, solid.kind) for solid in made] == [
        (0, "ellipsoid"),
        (0, "ellipsoid"),
        (1, "capsule"),
        (1, "cylinder"),
        (1, "box"),
    ]
    np.testing.assert_allclose(made[0].size, [0.1] * 3)
    np.testing.assert_allclose(made[0].pos, [1, 2, 3])
    np.testing.assert_allclose(made[2].size, [0.1, 0.1, 0.4])
    np.testing.assert_allclose(made[2].quat, [0, 1, 0, 0])
    # A mesh's box lies along the mesh's own axes: its corners are inside, some on the border.
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 4.0]])
    inside = np.abs((corners - made[4].pos) @ matrix_from_quat(made[4].quat))
    assert (inside <= made[4].size + 1e-5).all()
    np.testing.assert_allclose(inside.max(axis=0), made[4].size, atol=1e-5)


def test_the_humanoid_is_one_solid_a_body():
    made = solids(build(open_character("humanoid")))
    assert [solid.joint for solid in made] == list(range(15))
    assert {solid.kind for solid in made} == {"ellipsoid", "capsule", "box"}
