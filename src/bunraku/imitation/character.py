"""A simulated character: its MJCF text, its rates, its pose of reference; built in, or from a user's file."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import mujoco
import numpy as np

from bunraku.core.artifact import write_bytes
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.imitation import bopbag
from bunraku.imitation.adaptation import FALL, NAMES, adapt, needs_adaptation
from bunraku.imitation.anatomy import Anatomy, anatomy
from bunraku.imitation.character_config import config_beside
from bunraku.imitation.humanoid import humanoid

BUILT_IN: Mapping[str, Callable[[], str]] = {
    "bopbag": bopbag.bopbag,
    "bopbag6": bopbag.bopbag6,
    "bopbag2": bopbag.bopbag2,
    "bopbag3": bopbag.bopbag3,
    "humanoid": humanoid,
}

REFERENCE = "reference"
"""The key frame whose pose is the reference; without it the model's own zero pose is."""

_DEFAULT_CONTROL_HZ = 30.0

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Character:
    """All that decides a character's physics, as values: two with the same `hash` move alike."""

    name: str
    xml: str
    """MJCF as MuJoCo writes it, includes resolved. Its <custom> numerics `control_hz`, `action_scale` (per
    actuator) and `joint_weights` (per rotation, hinges first) hold what MJCF has no place for."""
    physics_hz: float
    control_hz: float
    joint_weights: tuple[float, ...]
    """Share of each rotation in the reward's pose and velocity, summing to 1; with a free root, several hinges of a
    body count as one rotation: each has its whole share, since their squared errors add up to its."""
    action_scale: tuple[float, ...]
    """What one unit of action adds to each actuator's control: N m for motors, rad for servos."""
    actuation: tuple[str, ...]
    """By actuator: "servo" (a spring to a target) or "motor"."""
    joint_names: tuple[str, ...]
    actuator_names: tuple[str, ...]
    body_names: tuple[str, ...]
    """All but the world."""
    free: bool
    """Its first body moves freely through the world."""
    hash: str
    """SHA-256 of the MJCF text and the files that it uses."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Meshes and the like, by the name under which the text asks for them."""
    fall: tuple[str, ...] | None = None
    """Bodies whose touch of the ground ends an episode, if the character's file says so."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """By body: the part of the body that it is, or the joint of clips that drives it; empty: it stays at rest."""

    @property
    def substeps(self) -> int:
        """Physics steps per control step."""
        return round(self.physics_hz / self.control_hz)


@dataclass(frozen=True, eq=False)
class Built:
    """A character as MuJoCo computes with it."""

    character: Character
    model: mujoco.MjModel
    anatomy: Anatomy
    reference_qpos: np.ndarray
    reference_control: np.ndarray
    """The controls at action 0."""
    lowest_action: np.ndarray
    highest_action: np.ndarray
    """Actions beyond these change nothing: the control is at its bound. Infinite where it has none."""


def open_character(source: str) -> Character:
    """A built-in character by name, or one from an MJCF file; with a free root it is adapted to follow clips.

    Raises:
        BunrakuError: an unknown name, an unreadable file, MJCF that MuJoCo does not compile (its message), a file
            that uses others outside its folder, no joint or no actuator, rates that do not fit; as `adapt` and
            `config_beside`.
    """
    if source in BUILT_IN:
        return character_from_xml(BUILT_IN[source](), source)
    path = Path(source)
    if path.suffix.lower() not in (".xml", ".mjcf"):
        raise unknown_name("character", source, [*BUILT_IN, "or an MJCF file (.xml)"])
    files = _files_used(path)
    text = _quoted(lambda: mujoco.MjSpec.from_file(str(path)), source)
    _quoted(text.compile, source)
    said = config_beside(path)
    if needs_adaptation(text, said):
        _quoted(lambda: adapt(text, said, source), source)
    elif said.source:
        raise BunrakuError(f"{said.source}: is about a character with a free root; {source} has no free joint")
    return character_from_xml(text.to_xml(), source, files)


def export_character(character: Character, path: Path) -> None:
    """Write a character's MJCF, to be edited and opened again; files it uses go beside it."""
    write_bytes(path, character.xml.encode())
    for name, content in character.files.items():
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, content)


def character_from_xml(xml: str, source: str, files: Mapping[str, bytes] | None = None) -> Character:
    """A character from MJCF text without includes; `source` names it in errors.

    Raises:
        BunrakuError: as `open_character`.
    """
    files = dict(files or {})
    model = _compiled(xml, files, source)
    _check_joints(model, source)
    control_hz = float(_numeric(model, "control_hz", 1, _default_rate(model), source)[0])
    if control_hz <= 0:
        raise BunrakuError(f"{source}: control_hz must be positive; it is {control_hz:g}")
    exact = 1 / (float(model.opt.timestep) * control_hz)
    substeps = max(1, round(exact))
    if abs(exact - substeps) > 1e-3 * substeps:
        raise BunrakuError(
            f"{source}: control_hz {control_hz:g} must divide the physics rate (timestep {model.opt.timestep:g} s is "
            f"{1 / model.opt.timestep:g} Hz)"
        )
    body = anatomy(model)
    weights = _numeric(model, "joint_weights", len(body.rotations), 1.0, source)
    if (weights < 0).any() or weights.sum() <= 0:
        raise BunrakuError(f"{source}: joint_weights must not be negative nor all 0")
    ranges = model.actuator_ctrlrange
    scale = np.where(model.actuator_ctrllimited, (ranges[:, 1] - ranges[:, 0]) / 2, 1.0)
    scale = _numeric(model, "action_scale", model.nu, scale, source)
    if (scale <= 0).any():
        raise BunrakuError(f"{source}: action_scale must be positive for every actuator")
    bodies = tuple(model.body(i).name for i in range(1, model.nbody))
    digest = hashlib.sha256(xml.encode())
    for name in sorted(files):
        digest.update(name.encode() + files[name])
    servo = (model.actuator_biastype == int(mujoco.mjtBias.mjBIAS_AFFINE)) & (model.actuator_biasprm[:, 1] != 0)
    return Character(
        name=Path(source).stem,
        xml=xml,
        physics_hz=substeps * control_hz,
        control_hz=control_hz,
        joint_weights=tuple(float(w) for w in weights / _whole(body, weights)),
        action_scale=tuple(float(s) for s in scale),
        actuation=tuple("servo" if s else "motor" for s in servo),
        joint_names=tuple(model.joint(i).name for i in range(model.njnt)),
        actuator_names=tuple(model.actuator(i).name for i in range(model.nu)),
        body_names=bodies,
        free=_is_free(body),
        hash=digest.hexdigest(),
        files=files,
        fall=_fall_said(model, bodies),
        names=_names_said(model),
    )


def build(character: Character) -> Built:
    """Compile a character."""
    model = _compiled(character.xml, character.files, character.name)
    # MJCF text has six digits; the rates are meant.
    model.opt.timestep = 1 / character.physics_hz
    qpos, control = np.array(model.qpos0), np.zeros(model.nu)
    for i in range(model.nkey):
        if model.key(i).name == REFERENCE:
            qpos, control = np.array(model.key_qpos[i]), np.array(model.key_ctrl[i])
    scale, limited = np.array(character.action_scale), np.asarray(model.actuator_ctrllimited, bool)
    low, high = ((model.actuator_ctrlrange[:, side] - control) / scale for side in (0, 1))
    low, high = np.where(limited, low, -np.inf), np.where(limited, high, np.inf)
    return Built(character, model, anatomy(model), qpos, control, low, high)


def _compiled(xml: str, files: Mapping[str, bytes], source: str) -> mujoco.MjModel:
    return _quoted(lambda: mujoco.MjModel.from_xml_string(xml, dict(files)), source)


def _quoted(call: Callable[[], T], source: str) -> T:
    """MuJoCo's own message, on one line behind the file's name."""
    try:
        return call()
    except (ValueError, mujoco.FatalError) as error:
        raise BunrakuError(f"{source}: MuJoCo says: {' '.join(str(error).split())}") from None


def _check_joints(model: mujoco.MjModel, source: str) -> None:
    if not any(kind != int(mujoco.mjtJoint.mjJNT_SLIDE) for kind in model.jnt_type):
        raise BunrakuError(f"{source}: nothing in it turns; expected at least one hinge, ball or free joint")
    if model.nu == 0:
        raise BunrakuError(f"{source}: has no actuators; expected motors or servos (<actuator>) to act with")


def _is_free(body: Anatomy) -> bool:
    return len(body.bodies) > 1 and any(joint.is_free for joint in body.bodies[1].joints)


def _whole(body: Anatomy, weights: np.ndarray) -> float:
    """What shares are shares of: the sum over rotations, or with a free root over bodies, by their rotations' mean."""
    turning = {joint.name: w for joint, w in zip(body.turning, weights, strict=True)}
    own = [[turning[joint.name] for joint in each.joints if joint.name in turning] for each in body.bodies]
    if not _is_free(body) or max(len(each) for each in own) <= 1:
        return float(weights.sum())
    return float(sum(np.mean(each) for each in own if each))


def _said(model: mujoco.MjModel, name: str) -> object:
    """What a text of the file holds, as JSON; None without it, and where it is somebody else's and is none."""
    for i in range(model.ntext):
        if mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_TEXT, i) == name:
            first, size = int(model.text_adr[i]), int(model.text_size[i])
            try:
                return json.loads(bytes(model.text_data)[first : first + size].rstrip(b"\0"))
            except ValueError:
                return None
    return None


def _names_said(model: mujoco.MjModel) -> dict[str, str]:
    said = _said(model, NAMES)
    return (
        {str(key): str(value) for key, value in cast(dict[object, object], said).items()}
        if isinstance(said, dict)
        else {}
    )


def _fall_said(model: mujoco.MjModel, bodies: Sequence[str]) -> tuple[str, ...] | None:
    said = _said(model, FALL)
    return tuple(str(each) for each in cast(list[object], said) if each in bodies) if isinstance(said, list) else None


def _default_rate(model: mujoco.MjModel) -> float:
    physics_hz = 1 / float(model.opt.timestep)
    return physics_hz / max(1, round(physics_hz / _DEFAULT_CONTROL_HZ))


def _numeric(model: mujoco.MjModel, name: str, size: int, default: float | np.ndarray, source: str) -> np.ndarray:
    for i in range(model.nnumeric):
        if model.numeric(i).name == name:
            values = np.array(model.numeric(i).data, np.float64)
            if values.shape != (size,) or not np.isfinite(values).all():
                raise BunrakuError(f"{source}: numeric {name!r} has {len(values)} values; expected {size} finite ones")
            return values
    return np.broadcast_to(np.asarray(default, np.float64), (size,)).copy()


def _files_used(path: Path) -> dict[str, bytes]:
    """The files (not includes, which MuJoCo's text resolves) that an MJCF file uses, all inside its folder."""
    folder, found = path.resolve().parent, dict[str, bytes]()
    waiting, seen = [path.resolve()], set[Path]()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        root = _parsed(file, path)
        places = {key: root_dir for element in root.iter("compiler") for key, root_dir in element.attrib.items()}
        for element in root.iter():
            if not (name := element.get("file")):
                continue
            kind = {"mesh": "meshdir", "hfield": "meshdir", "texture": "texturedir"}.get(element.tag, "")
            sub = places.get(kind, places.get("assetdir", "")) if kind else ""
            target = (folder / sub / name).resolve()
            if not target.is_relative_to(folder):
                raise BunrakuError(f"{path}: uses {name!r}, which lies outside its folder")
            if element.tag in ("include", "model"):
                waiting.append(target)
            else:
                found[str(Path(sub) / name)] = _bytes(target)
    return found


def _parsed(file: Path, main: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(_bytes(file))
    except ElementTree.ParseError as error:
        where = f" (in {file.name})" if file.name != main.name else ""
        raise BunrakuError(f"{main}: is not valid XML{where}: {error}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BunrakuError(f"{file}: cannot be read ({error.strerror})") from None
