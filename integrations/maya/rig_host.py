"""A Maya rig, served to Bunraku. Written against the published API; untested inside Maya.

    bunraku rig describe "host:mayapy rig_host.py --scene hero.ma --mesh body --controls '*_ctrl'"

Needs `host.py` (a copy of `bunraku/host.py`) in the same folder, and numpy in Maya's Python (`mayapy -m pip install
numpy`). The scene's script nodes are not run. Controls are the keyable, unlocked numbers of the nodes that `--controls`
names (all transforms with a curve to be seen by, unless said), as far as nothing but keys drives them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

TURN, STRETCH, SHIFT = 2 * np.pi / 3, (0.5, 2.0), 0.25
"""Where nothing says how far a control goes: rad each way, factors, share of the mesh's diagonal each way."""
UNITS = {"doubleAngle": "rad", "doubleLinear": "cm", "double": "1", "float": "1"}
"""By Maya's type of an attribute; other types are switches, which are left out."""


class Control:
    """One attribute of a node."""

    def __init__(self, plug, name, kind):
        self.plug, self.name, self.kind = plug, name, kind
        self.lower = self.upper = self.neutral = 0.0

    def said(self):
        """What the other side is told."""
        numbers = {"lower": self.lower, "upper": self.upper, "neutral": self.neutral}
        return {"name": self.name, "unit": UNITS[self.kind], **numbers}


def options(words):
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scene", required=True)
    parser.add_argument("--mesh", required=True)
    parser.add_argument("--controls", default="", help="patterns of node names, separated by commas")
    return parser.parse_args(words)


def default_range(kind, attribute, neutral, diagonal):
    """How far a control goes where the scene does not say."""
    if kind == "doubleAngle":
        return neutral - TURN, neutral + TURN
    if attribute.startswith("scale"):
        return min(STRETCH[0], neutral), max(STRETCH[1], neutral)
    if kind == "doubleLinear":
        return neutral - SHIFT * diagonal, neutral + SHIFT * diagonal
    return min(0.0, neutral), max(1.0, neutral)


class Rig:
    """An open scene: its controls, and its mesh."""

    def __init__(self, asked, cmds, api):
        self.cmds, self.api = cmds, api
        cmds.file(asked.scene, open=True, force=True, executeScriptNodes=False)
        shapes = cmds.ls(asked.mesh, dagObjects=True, type="mesh", noIntermediate=True, long=True) or []
        if len(shapes) != 1:
            raise protocol.MistakeError(f"{len(shapes)} meshes are named {asked.mesh!r}; expected one")
        self.mesh = api.MFnMesh(self._path(shapes[0]))
        self.left_out = []
        rest = self.vertices()
        self.diagonal = float(np.linalg.norm(np.ptp(rest, axis=0)))
        self.controls = [one for node in self._nodes(asked.controls) for one in self._controls(node)]
        if not self.controls:
            raise protocol.MistakeError("no node has an attribute that could be turned; name them with --controls")
        self.plugs = [self._plug(one.plug) for one in self.controls]

    def describe(self, **_):
        """What is told of the rig: neutral is the scene as it was saved."""
        _, corners = self.mesh.getTriangles()
        return {
            "controls": [one.said() for one in self.controls],
            "neutral": self.vertices(),
            "faces": np.array(corners, np.int32).reshape(-1, 3),
            "left_out": [{"name": name, "why": why} for name, why in self.left_out],
        }

    def pose(self, values):
        """The mesh at these values."""
        for column, plug in enumerate(self.plugs):
            if self.controls[column].kind == "doubleAngle":
                plug.setMAngle(self.api.MAngle(float(values[column]), self.api.MAngle.kRadians))
            else:
                plug.setDouble(float(values[column]))
        return self.vertices()

    def vertices(self):
        """Points in world space, in Maya's inner unit, centimetres."""
        return np.array(self.mesh.getFloatPoints(self.api.MSpace.kWorld), np.float32)[:, :3]

    def _nodes(self, patterns):
        if patterns:
            return [node for pattern in patterns.split(",") for node in self.cmds.ls(pattern.strip(), long=True) or []]
        curves = self.cmds.ls(type="nurbsCurve", noIntermediate=True, long=True) or []
        return sorted(set(self.cmds.listRelatives(curves, parent=True, fullPath=True) or [])) if curves else []

    def _controls(self, node):
        found = []
        for attribute in self.cmds.listAttr(node, keyable=True, scalar=True) or []:
            control = self._control(node, attribute)
            if isinstance(control, str):
                self.left_out.append((f"{_short(node)}.{attribute}", control))
            else:
                found.append(control)
        return found

    def _control(self, node, attribute):
        """The control, or why it is none."""
        cmds, plug = self.cmds, f"{node}.{attribute}"
        kind = cmds.getAttr(plug, type=True)
        if kind not in UNITS:
            return "a switch" if attribute != "visibility" else "moves nothing"
        if cmds.getAttr(plug, lock=True):
            return "locked"
        driver = cmds.connectionInfo(plug, sourceFromDestination=True)
        if driver:
            if not cmds.nodeType(driver.split(".")[0]).startswith("animCurveT"):
                return f"driven by {_short(driver)}"
            cmds.disconnectAttr(driver, plug)  # keys would set it back; the file on disk is not touched
        control = Control(plug, f"{_short(node)}.{attribute}", kind)
        control.neutral = self._read(plug, kind)
        low, high = default_range(kind, attribute, control.neutral, self.diagonal)
        control.lower, control.upper = (
            self._limit(node, attribute, kind, side, default) for side, default in (("min", low), ("max", high))
        )
        control.lower, control.upper = min(control.lower, control.neutral), max(control.upper, control.neutral)
        return control

    def _read(self, plug, kind):
        found = self._plug(plug)
        return found.asMAngle().asRadians() if kind == "doubleAngle" else found.asDouble()

    def _limit(self, node, attribute, kind, side, default):
        """What the attribute itself says, hard or soft, in radians where it is an angle."""
        query = self.cmds.attributeQuery
        title = {"min": "minimum", "max": "maximum"}[side]
        soft = {"min": "softMin", "max": "softMax"}[side]
        for exists, asked in ((f"{side}Exists", title), (f"{soft}Exists", soft)):
            if query(attribute, node=node, **{exists: True}):
                value = float(query(attribute, node=node, **{asked: True})[0])
                return float(np.deg2rad(value)) if kind == "doubleAngle" else value
        return default

    def _path(self, name):
        return self.api.MSelectionList().add(name).getDagPath(0)

    def _plug(self, name):
        return self.api.MSelectionList().add(name).getPlug(0)


def _short(name):
    return name.rsplit("|", 1)[-1]


def main():
    """Serve until Bunraku is gone."""
    asked = options(sys.argv[1:])
    import maya.standalone

    maya.standalone.initialize(name="python")
    from maya import cmds
    from maya.api import OpenMaya

    held = {}

    def describe(**_):
        held["rig"] = Rig(asked, cmds, OpenMaya)
        return held["rig"].describe()

    protocol.serve_rig(describe, lambda values: held["rig"].pose(values), f"Maya {cmds.about(version=True)}")


sys.path.insert(0, str(Path(__file__).resolve().parent))
try:
    import host as protocol
except ImportError:
    from bunraku import host as protocol

if __name__ == "__main__":
    main()
