"""What runs inside Maya, outside of it: the networks for real, the rest with a stand-in for Maya's modules."""

import importlib
import math
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import bunraku
from bunraku import mimic
from bunraku.core import artifact
from bunraku.core.controls import control_spec
from bunraku.inversion.encoder import Encoder, save_encoder
from bunraku.player import Player
from small_training import briefly, small

FOLDER = Path(__file__).parents[2] / "integrations" / "maya"


@pytest.fixture
def beside(monkeypatch):
    """Modules of the folder are imported anew."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield lambda name: importlib.import_module(name)
    for name in ("networks", "bunraku_nodes", "rig_host", "bop_bag"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        briefly(patch)
        folder = tmp_path_factory.mktemp("policy")
        small("bopbag", folder / "run")
        mimic.export(folder / "run", folder / "policy.npz")
    return folder / "policy.npz"


def an_encoder(with_basis: bool) -> Encoder:
    rng = np.random.default_rng(0)
    spec = control_spec(["a", "b"], [-1.0, 0.0], [1.0, 4.0], [0.0, 1.0], ["rad", "cm"])
    numbers = 3 if with_basis else 12
    layers = tuple((rng.normal(size=size), rng.normal(size=size[0])) for size in [(5, numbers), (2, 5)])
    basis = rng.normal(size=(3, 12)) if with_basis else None
    unit, skip = rng.uniform(0.5, 2, numbers), 0.1 * rng.normal(size=(2, numbers))
    return Encoder(spec, rng.normal(size=12), basis, unit, skip, layers)


def encoder_file(encoder: Encoder, folder: Path) -> Path:
    from bunraku.api.exports import export

    artifact.open_output(folder / "encoder", "encoder", {}, seed=0)
    save_encoder(folder / "encoder", encoder, {})
    export(folder / "encoder", folder / "encoder.npz")
    return folder / "encoder.npz"


def test_a_policy_gives_what_the_player_gives(beside, policy_file):
    network = beside("networks").load_network(policy_file)
    assert network.inputs == ["hinge.angle", "hinge.velocity"]
    assert network.outputs == ["hinge"]
    for seen in np.random.default_rng(0).normal(size=(5, 2)):
        np.testing.assert_array_equal(network(seen), Player(policy_file).controls(seen))
    np.testing.assert_array_equal(network(np.array([0.5])), network(np.array([0.5, 0.0])))


@pytest.mark.parametrize("with_basis", [True, False])
def test_an_encoder_gives_what_ours_gives(beside, with_basis, tmp_path):
    ours = an_encoder(with_basis)
    network = beside("networks").load_network(encoder_file(ours, tmp_path))
    assert (network.outputs, network.units, network.vertices) == (["a", "b"], ["rad", "cm"], 4)
    meshes = np.random.default_rng(1).normal(0, 0.3, size=(20, 4, 3))
    found = np.array([network(mesh) for mesh in meshes])
    np.testing.assert_allclose(found, ours.encode(meshes), rtol=0, atol=1e-12)
    assert (found > [-1, 0]).any()
    with pytest.raises(ValueError, match=r"shape \(5, 3\); expected \(4, 3\)"):
        network(np.zeros((5, 3)))


def test_a_file_that_is_neither_is_refused_by_name(beside, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz: is no encoder \(lacks description"):
        beside("networks").load_network(tmp_path / "other.npz")


def test_a_network_is_read_again_only_when_its_file_changes(beside, policy_file, tmp_path):
    import os

    file = Path(shutil.copy(policy_file, tmp_path / "p.npz"))
    remembered = beside("networks").Remembered()
    first = remembered.of(str(file))
    assert remembered.of(str(file)) is first
    os.utime(file, ns=(0, 0))
    assert remembered.of(str(file)) is not first


def test_networks_need_numpy_and_the_two_files_alone(policy_file, tmp_path):
    for name in (FOLDER / "networks.py", Path(bunraku.__file__).parent / "player.py"):
        shutil.copy(name, tmp_path)
    program = f"""
import sys, numpy
sys.modules["bunraku"] = None
sys.path.insert(0, {str(tmp_path)!r})
from networks import load_network
print(load_network({str(policy_file)!r})(numpy.array([0.1, 0.2]))[0])
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(Player(policy_file).controls([0.1, 0.2])[0]), abs=1e-9)


class Anything:
    """Stands in for whatever Maya makes: any attribute, any call."""

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        return Anything()

    def __call__(self, *_, **__):
        return Anything()


@pytest.fixture
def maya(monkeypatch):
    """Maya's modules, as far as importing and registering goes."""

    class Node:
        @staticmethod
        def addAttribute(attribute):
            attributes.append(attribute)

        @staticmethod
        def attributeAffects(one, other):
            affected.append((one, other))

    attributes, affected, registered = [], [], {}
    registry = types.SimpleNamespace(
        registerNode=lambda name, number, node, make: (registered.update({name: node}), make()),
        deregisterNode=lambda number: registered.clear(),
    )
    api = types.SimpleNamespace(
        MPxNode=Node,
        MTypeId=lambda number: number,
        kUnknownParameter="unknown",
        MFnPlugin=lambda *_: registry,
        **dict.fromkeys(("MFnStringData", "MFnTypedAttribute", "MFnNumericAttribute"), Anything),
        MFnData=Anything(),
        MFnNumericData=Anything(),
    )
    modules = {"maya": types.ModuleType("maya"), "maya.api": types.ModuleType("maya.api")}
    modules["maya.api"].OpenMaya = api
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(registered=registered, attributes=attributes, affected=affected)


def test_the_nodes_register_with_their_attributes(beside, maya):
    nodes = beside("bunraku_nodes")
    nodes.initializePlugin(None)
    assert set(maya.registered) == {"bunrakuPolicy", "bunrakuEncoder"}
    assert len(maya.attributes) == 10
    assert len(maya.affected) == 12
    nodes.uninitializePlugin(None)
    assert not maya.registered


class Handle:
    """An entry of Maya's data block."""

    def __init__(self, value=None):
        self.value = value

    def asString(self):
        return self.value

    def setString(self, text):
        self.value = text

    def setDouble(self, value):
        self.value = value

    def asDouble(self):
        return self.value

    def setClean(self):
        pass


class Elements:
    """An array of such entries."""

    def __init__(self, values):
        self.values = dict(values)

    def __len__(self):
        return len(self.values)

    def jumpToPhysicalElement(self, place):
        self.at = list(self.values)[place]

    def elementLogicalIndex(self):
        return self.at

    def inputValue(self):
        return Handle(self.values[self.at])

    def builder(self):
        self.values = {}
        return self

    def addElement(self, index):
        self.values[index] = Handle()
        return self.values[index]

    def set(self, builder):
        assert builder is self

    def setAllClean(self):
        pass


def test_the_policys_node_computes_what_the_player_does(beside, maya, policy_file):
    nodes = beside("bunraku_nodes")
    nodes.initializePlugin(None)
    kind = nodes.PolicyNode
    kind.file, kind.observation, kind.controls, kind.names, kind.error = "file", "seen", "controls", "names", "error"
    block = {"file": Handle(str(policy_file)), "names": Handle(), "error": Handle()}
    block |= {"seen": Elements({0: 0.25, 1: -1.0}), "controls": Elements({})}
    node = kind.__new__(kind)
    node.remembered = nodes.Remembered()
    door = types.SimpleNamespace(
        inputValue=block.get, outputValue=block.get, inputArrayValue=block.get, outputArrayValue=block.get
    )

    def plug(name):
        return type("Plug", (str,), {"isElement": False})(name)

    assert node.compute(plug("other"), door) == "unknown"
    assert node.compute(plug("controls"), door) is None
    expected = Player(policy_file).controls([0.25, -1.0])
    assert [entry.value for entry in block["controls"].values.values()] == [pytest.approx(float(expected[0]))]
    assert (block["names"].value, block["error"].value) == ("hinge", "")
    block["file"].value = "nowhere.npz"
    node.compute(plug("controls"), door)
    assert len(block["controls"].values) == 0
    assert "nowhere.npz" in block["error"].value


def test_a_controls_range_is_what_the_scene_says_or_what_is_sensible(beside):
    host = beside("rig_host")
    assert host.default_range("doubleAngle", "rotateX", 0.5, 1.0) == pytest.approx(
        (0.5 - 2.0944, 0.5 + 2.0944), abs=1e-4
    )
    assert host.default_range("double", "scaleX", 1.0, 1.0) == (0.5, 2.0)
    assert host.default_range("doubleLinear", "translateY", 1.0, 8.0) == (-1.0, 3.0)
    assert host.default_range("double", "smile", 0.0, 8.0) == (0.0, 1.0)
    asked = host.options(["--scene", "a.ma", "--mesh", "body"])
    assert (asked.scene, asked.mesh, asked.controls) == ("a.ma", "body", "")


KINDS = {"rotateX": "doubleAngle", "lift": "doubleLinear", "fist": "double", "held": "double", "space": "enum"}


class Commands:
    """A scene of one node, `ctrl`, as Maya's commands tell of it."""

    def file(self, *_, **options):
        assert options["executeScriptNodes"] is False

    def ls(self, *_, **options):
        return ["|body|bodyShape"] if options.get("type") == "mesh" else ["|ctrl"]

    def listAttr(self, *_, **__):
        return [*KINDS, "driven"]

    def getAttr(self, plug, **asked):
        return plug.endswith("held") if "lock" in asked else KINDS.get(plug.split(".")[1], "double")

    def connectionInfo(self, plug, **_):
        return "expression1.output" if plug.endswith("driven") else ""

    def nodeType(self, node):
        return "expression"

    def attributeQuery(self, attribute, node, **asked):
        said = {"fist": {"min": 0.0, "max": 10.0}, "rotateX": {"min": -90.0, "max": 90.0}}.get(attribute, {})
        key = {"minimum": "min", "maximum": "max"}.get(next(iter(asked)), "")
        if key:
            return [said[key]]
        return next(iter(asked)).removesuffix("Exists") in said


MOVED = {}
"""What plugs were set to."""


class Plug:
    """An attribute's plug."""

    def __init__(self, name):
        self.name = name.split(".")[1]

    def setMAngle(self, angle):
        MOVED[self.name] = angle

    def setDouble(self, value):
        MOVED[self.name] = value

    def asDouble(self):
        return 0.0

    def asMAngle(self):
        return types.SimpleNamespace(asRadians=lambda: 0.0)


def test_a_mayas_rig_is_described_and_posed(beside):
    host = beside("rig_host")
    selection = types.SimpleNamespace(
        add=lambda name: types.SimpleNamespace(getDagPath=lambda _: name, getPlug=lambda _: Plug(name))
    )

    class Mesh:
        def __init__(self, path):
            assert path == "|body|bodyShape"

        def getFloatPoints(self, space):
            return [(0, 0, 0, 1), (3, 0, 0, 1), (0, 4 + MOVED.get("lift", 0.0), 0, 1)]

        def getTriangles(self):
            return [1], [0, 1, 2]

    angle = lambda value, unit: (value, unit)  # noqa: E731
    angle.kRadians = "rad"
    api = types.SimpleNamespace(
        MFnMesh=Mesh, MSpace=types.SimpleNamespace(kWorld=4), MSelectionList=lambda: selection, MAngle=angle
    )
    rig = host.Rig(host.options(["--scene", "a.ma", "--mesh", "body", "--controls", "ctrl"]), Commands(), api)
    told = rig.describe()
    ranges = {one["name"]: (one["lower"], one["upper"], one["unit"]) for one in told["controls"]}
    assert ranges == {
        "ctrl.rotateX": (pytest.approx(-math.pi / 2), pytest.approx(math.pi / 2), "rad"),
        "ctrl.lift": (-1.25, 1.25, "cm"),
        "ctrl.fist": (0.0, 10.0, "1"),
    }
    assert told["left_out"] == [
        {"name": "ctrl.held", "why": "locked"},
        {"name": "ctrl.space", "why": "a switch"},
        {"name": "ctrl.driven", "why": "driven by expression1.output"},
    ]
    assert told["faces"].tolist() == [[0, 1, 2]]
    assert rig.pose(np.array([0.5, 2.0, 1.0])).tolist() == [[0, 0, 0], [3, 0, 0], [0, 6, 0]]
    assert MOVED == {"rotateX": (0.5, "rad"), "lift": 2.0, "fist": 1.0}


def test_a_bags_angle_is_read_from_its_matrix(beside):
    bags = beside("bop_bag")
    for angle in (-1.2, 0.0, 0.7):
        c, s = math.cos(angle), math.sin(angle)
        rows = [c, s, 0, 0, -s, c, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1]
        assert bags.angle_of(rows) == pytest.approx(angle)
    assert bags._frame_rate(192) == 3
