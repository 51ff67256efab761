"""Animations that a rig's program plays: the meshes, and what the animation gives the controls."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from bunraku import host as wire
from bunraku.core.curves import Curves, curves
from bunraku.core.errors import BunrakuError, unknown_name
from bunraku.core.mesh_sequence import MeshSequence, mesh_sequence
from bunraku.core.rotations import unwrap_rotvecs
from bunraku.rigs.host import HostRig
from bunraku.rigs.host_process import LostHostError, parts_limit

BAKE = 40
"""As in integrations/blender/bunraku_blender/bake.py."""


def bakes(rig: HostRig) -> bool:
    """Whether the program of a rig plays its animations for us."""
    return BAKE in rig.running().about["kinds"]


def bake(rig: HostRig, animation: str, fps: Fraction) -> tuple[MeshSequence, Curves]:
    """An animation of the file at frames k/fps from its first key on, as a mesh sequence and as its true curves.

    Raises:
        BunrakuError: no animation of that name; the message lists those that exist. The host is gone.
    """
    names = [each.name for each in rig.animations]
    if animation not in names:
        raise unknown_name("animation", animation, names, "this rig has")
    vertices, values = list[np.ndarray](), list[np.ndarray]()
    asked, limit = {"animation": animation, "fps": float(fps)}, parts_limit(24 * (len(rig.neutral) + len(rig.spec)))
    try:
        for message in rig.running().ask(BAKE, asked, limit=limit, wait_s=rig.command.start_s):
            if message.kind == wire.PART:
                vertices.append(message.arrays["vertices"])
                values.append(message.arrays["values"])
    except LostHostError as lost:
        raise BunrakuError(str(lost)) from None
    found = np.concatenate(values).astype(np.float64)
    for triple in rig.spec.rotations:
        found[:, triple] = unwrap_rotvecs(found[:, triple])
    sequence = mesh_sequence(np.concatenate(vertices), rig.faces, fps, name=f"animation {animation!r}")
    return sequence, curves(rig.spec.names, found, fps)
