"""A Maya plug-in of two nodes that run what Bunraku has exported. Written against the published API; untested in Maya.

`bunrakuPolicy`: `file`, `observation[i]` → `controls[i]`, for simulations: set `observation` from the character's state
at every frame, and what moves it from `controls`. `bunrakuEncoder`: `file`, `inMesh` → `controls[i]`: the controls that
a deforming mesh asks for, live. `outputNames` tells which is which. What goes wrong is in `error`.
"""

import sys
from pathlib import Path

import numpy as np
from maya.api import OpenMaya

if "__file__" in globals():  # Maya runs plug-ins with or without it
    sys.path.insert(0, str(Path(__file__).resolve().parent))
from networks import EncoderNetwork, PolicyNetwork, Remembered

# From the block that Autodesk leaves free for use inside one studio; ask for ids of your own before you share scenes.
POLICY_ID, ENCODER_ID = OpenMaya.MTypeId(0x0007F7A0), OpenMaya.MTypeId(0x0007F7A1)


def maya_useNewAPI():
    """Tells Maya that this plug-in speaks API 2.0."""


class NetworkNode(OpenMaya.MPxNode):
    """What both nodes share: a file, the numbers that come out, their names, and what went wrong."""

    kind = None
    """The class of network that this node runs."""

    def __init__(self):
        OpenMaya.MPxNode.__init__(self)
        self.remembered = Remembered()

    @classmethod
    def make_shared(cls):
        """Attributes of both nodes."""
        typed, numeric = OpenMaya.MFnTypedAttribute(), OpenMaya.MFnNumericAttribute()
        empty = OpenMaya.MFnStringData().create("")
        cls.file = typed.create("file", "f", OpenMaya.MFnData.kString, empty)
        typed.usedAsFilename = True
        cls.controls = numeric.create("controls", "c", OpenMaya.MFnNumericData.kDouble, 0.0)
        numeric.array = numeric.usesArrayDataBuilder = True
        numeric.writable = numeric.storable = False
        cls.names = typed.create("outputNames", "on", OpenMaya.MFnData.kString, empty)
        typed.writable = typed.storable = False
        cls.error = typed.create("error", "er", OpenMaya.MFnData.kString, empty)
        typed.writable = typed.storable = False
        for one in (cls.file, cls.controls, cls.names, cls.error):
            cls.addAttribute(one)

    @classmethod
    def affects(cls, *inputs):
        """Whatever goes in changes all that comes out."""
        for one in inputs:
            for other in (cls.controls, cls.names, cls.error):
                cls.attributeAffects(one, other)

    def compute(self, plug, block):
        """Run the network and fill all that comes out."""
        asked = plug.array() if plug.isElement else plug
        if asked not in (self.controls, self.names, self.error):
            return OpenMaya.kUnknownParameter
        values, names, error = [], [], ""
        try:
            network = self.remembered.of(block.inputValue(self.file).asString())
            if not isinstance(network, self.kind):
                raise ValueError("the file holds the other kind of network")
            names, values = network.outputs, network(self.given(block))
        except (OSError, ValueError) as problem:
            error = str(problem)
        out = block.outputArrayValue(self.controls)
        builder = out.builder()
        for index, value in enumerate(values):
            builder.addElement(index).setDouble(float(value))
        out.set(builder)
        out.setAllClean()
        for attribute, text in ((self.names, "\n".join(names)), (self.error, error)):
            handle = block.outputValue(attribute)
            handle.setString(text)
            handle.setClean()
        return None

    def given(self, block):
        """What goes into the network."""
        raise NotImplementedError


class PolicyNode(NetworkNode):
    """Observations to settings of actuators."""

    kind = PolicyNetwork

    def given(self, block):
        """The elements of `observation` by their indices."""
        array = block.inputArrayValue(self.observation)
        found = {}
        for place in range(len(array)):
            array.jumpToPhysicalElement(place)
            found[array.elementLogicalIndex()] = array.inputValue().asDouble()
        values = np.zeros(1 + max(found, default=-1))
        for index, value in found.items():
            values[index] = value
        return values


class EncoderNode(NetworkNode):
    """A mesh to controls."""

    kind = EncoderNetwork

    def given(self, block):
        """The points of `inMesh` (V, 3); connect `worldMesh[0]`, so that they are in world space."""
        data = block.inputValue(self.mesh).asMesh()
        if data.isNull():
            raise ValueError("nothing is connected to inMesh")
        return np.array(OpenMaya.MFnMesh(data).getFloatPoints(), np.float64)[:, :3]


def make_policy():
    """Attributes of `bunrakuPolicy`."""
    PolicyNode.make_shared()
    numeric = OpenMaya.MFnNumericAttribute()
    PolicyNode.observation = numeric.create("observation", "ob", OpenMaya.MFnNumericData.kDouble, 0.0)
    numeric.array = numeric.keyable = True
    PolicyNode.addAttribute(PolicyNode.observation)
    PolicyNode.affects(PolicyNode.file, PolicyNode.observation)


def make_encoder():
    """Attributes of `bunrakuEncoder`."""
    EncoderNode.make_shared()
    typed = OpenMaya.MFnTypedAttribute()
    EncoderNode.mesh = typed.create("inMesh", "im", OpenMaya.MFnData.kMesh)
    typed.storable = False
    EncoderNode.addAttribute(EncoderNode.mesh)
    EncoderNode.affects(EncoderNode.file, EncoderNode.mesh)


NODES = (
    ("bunrakuPolicy", POLICY_ID, PolicyNode, make_policy),
    ("bunrakuEncoder", ENCODER_ID, EncoderNode, make_encoder),
)


def initializePlugin(plugin):
    """Register the nodes."""
    registry = OpenMaya.MFnPlugin(plugin, "Bunraku", "1.0")
    for name, number, node, make in NODES:
        registry.registerNode(name, number, node, make)


def uninitializePlugin(plugin):
    """Take them away again."""
    registry = OpenMaya.MFnPlugin(plugin)
    for _, number, _, _ in reversed(NODES):
        registry.deregisterNode(number)
