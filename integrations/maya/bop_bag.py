"""Bop bags in Maya's Bullet, served to Bunraku, which trains them. Written against what is published; untested in Maya.

    bunraku mimic train "host:mayapy bop_bag.py" --out run

Needs `host.py` (a copy of `bunraku/host.py`) in the same folder, numpy in Maya's Python, and Maya's plug-in `bullet`.
The shape of `integrations/blender/bunraku_blender/bop_bags.py`, which is tested: bodies that turn about one axis, here
Maya's z, their centre of mass above it, moved by the attribute `torqueImpulse`, stepped by the current time.
"""

import math
import sys
from pathlib import Path

import numpy as np

MASS, RADIUS, LOW, HIGH = 3.0, 0.12, 0.15, 0.95
"""kg; a capsule about the line from LOW to HIGH above the hinge, in Maya's units, which Bullet takes for metres."""
MIDDLE = (LOW + HIGH) / 2
LYING_DEG = 90.0
APART = 2.0
DYNAMIC, CAPSULE = 2, 3
SIX_DOF, LOCKED, LIMITED = 4, 1, 2
"""Values of Maya's enumerations: of a body's type and shape, of a constraint and its axes."""
IMPULSE_S = None
"""How long a torque acts to give the impulse that `torqueImpulse` wants [s]; None: one frame. The first thing to check
in a Maya: with 5 N m a bag that stands must lean by 0.004 rad after one frame, 0.016 after two, 0.035 after three."""


class BopBags:
    """A scene with nothing but bags."""

    def __init__(self, cmds, count, frames, control_hz, substeps):
        from maya.app.mayabullet import RigidBody, RigidBodyConstraint

        self.cmds, self.hz, self.frames = cmds, control_hz, frames
        cmds.file(new=True, force=True)
        cmds.loadPlugin("bullet", quiet=True)
        cmds.currentUnit(time=f"{round(control_hz)}fps", angle="deg")
        cmds.playbackOptions(minTime=0, maxTime=frames, animationStartTime=0, animationEndTime=frames)
        cmds.currentTime(0)
        self.bags, self.bodies = [], []
        for index in range(count):
            bag = cmds.polyCylinder(radius=RADIUS, height=HIGH - LOW + 2 * RADIUS, name=f"bag{index}")[0]
            cmds.setAttr(f"{bag}.translate", APART * index, MIDDLE, 0.0)
            RigidBody.CreateRigidBody.command(transformName=bag, bAttachSelected=False)
            body = cmds.listRelatives(bag, shapes=True, type="bulletRigidBodyShape", fullPath=True)[0]
            for attribute, value in _BODY.items():
                cmds.setAttr(f"{body}.{attribute}", value)
            cmds.select(bag)
            hinge = RigidBodyConstraint.CreateRigidBodyConstraint().executeCommandCB()[0]
            cmds.xform(cmds.listRelatives(hinge, parent=True)[0], worldSpace=True, translation=(APART * index, 0, 0))
            for attribute, value in _HINGE.items():
                cmds.setAttr(f"{hinge}.{attribute}", value)
            self.bags.append(bag)
            self.bodies.append(body)
        for solver in cmds.ls(type="bulletSolverShape"):
            cmds.setAttr(f"{solver}.gravity", 0.0, -9.81, 0.0)
            cmds.setAttr(f"{solver}.internalFixedFrameRate", _frame_rate(control_hz * substeps))
        self.turned = np.zeros(count)
        self.speed = np.zeros(count)

    def reset(self, qpos, qvel):
        """All bags at these angles about z [rad] and at rest, at the simulation's beginning."""
        if qpos.shape != (len(self.bags), 1) or np.any(qvel):
            raise protocol.MistakeError(f"angles of shape {qpos.shape} for {len(self.bags)} bags, which begin at rest")
        self.cmds.currentTime(0)
        self.act(np.zeros((len(self.bags), 1)))
        for index, angle in enumerate(qpos[:, 0].tolist()):
            # A turn by +z takes the top towards -x.
            place = (APART * index - MIDDLE * math.sin(angle), MIDDLE * math.cos(angle), 0.0)
            self.cmds.xform(self.bags[index], worldSpace=True, translation=place)
            self.cmds.xform(self.bags[index], worldSpace=True, rotation=(0.0, 0.0, math.degrees(angle)))
        self.turned, self.speed = qpos[:, 0].copy(), np.zeros(len(self.bags))

    def act(self, controls):
        """Torques about z [N m]."""
        share = 1 / self.hz if IMPULSE_S is None else IMPULSE_S
        for index, body in enumerate(self.bodies):
            self.cmds.setAttr(f"{body}.torqueImpulse", 0.0, 0.0, float(controls[index, 0]) * share)

    def step(self):
        """One frame."""
        self.cmds.currentTime(self.cmds.currentTime(query=True) + 1)
        before, self.turned = self.turned, np.array([self._angle(bag) for bag in self.bags])
        self.speed = (self.turned - before) * self.hz

    def observe(self):
        """Angles (count, 1) [rad], speeds over the last frame (count, 1) [rad/s]."""
        return self.turned[:, None], self.speed[:, None]

    def _angle(self, bag):
        return angle_of(self.cmds.xform(bag, query=True, worldSpace=True, matrix=True))


_BODY = {
    "bodyType": DYNAMIC,
    "colliderShapeType": CAPSULE,
    "mass": MASS,
    "linearDamping": 0.0,
    "angularDamping": 0.0,
    "neverSleeps": True,
}
_HINGE = {
    "constraintType": SIX_DOF,
    **{f"linearConstraint{axis}": LOCKED for axis in "XYZ"},
    **{f"angularConstraint{axis}": LOCKED for axis in "XY"},
    "angularConstraintZ": LIMITED,
    "angularConstraintMinZ": -LYING_DEG,
    "angularConstraintMaxZ": LYING_DEG,
}


def angle_of(matrix):
    """The turn about z [rad] of a matrix of 16 numbers, rows first, as Maya gives it."""
    return math.atan2(-matrix[4], matrix[5])


def _frame_rate(physics_hz):
    """The entry of the solver's list of inner rates (60, 120, 180, 240, 300 Hz) that is nearest."""
    return max(1, min(5, round(physics_hz / 60)))


def opening(cmds):
    """The function that opens a world."""

    def open_world(count, frames, character="bopbag", control_hz=24.0, substeps=8):
        if character != "bopbag":
            raise protocol.MistakeError(f"no character {character!r}; there is: bopbag")
        world = BopBags(cmds, count, frames, control_hz, substeps)
        return {"control_hz": control_hz, "physics_hz": control_hz * substeps}, world

    return open_world


def main():
    """Serve until Bunraku is gone."""
    import maya.standalone

    maya.standalone.initialize(name="python")
    from maya import cmds

    protocol.serve_simulation(opening(cmds), f"Maya {cmds.about(version=True)}")


sys.path.insert(0, str(Path(__file__).resolve().parent))
try:
    import host as protocol
except ImportError:
    from bunraku import host as protocol

if __name__ == "__main__":
    main()
