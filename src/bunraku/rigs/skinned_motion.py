"""Control curves of a skinned character as local transforms of its nodes, for files that hold those."""

from __future__ import annotations

import numpy as np

from bunraku.core.curves import Curves
from bunraku.core.rotations import quat_from_rotvec, quat_multiply
from bunraku.formats.usd_write import Motion
from bunraku.rigs.skinned import SkinnedRig


def motion_of(rig: SkinnedRig, solved: Curves) -> Motion:
    """Every node and morph at every frame.

    Raises:
        BunrakuError: a curve that the rig has no control for.
    """
    bones = rig.character.skeleton
    nodes, morphs = rig.parameters(solved.ordered_as(rig.spec))
    rest = np.broadcast_to(bones.rest_quat, (*nodes.shape[:2], 4))
    controlled = {int(node) for node in rig.joint_slots[0]}
    return Motion(
        bones.rest_translation + nodes[..., :3],
        quat_multiply(rest, quat_from_rotvec(nodes[..., 3:6])),
        nodes[..., 6:9] * np.diagonal(bones.rest_stretch, axis1=1, axis2=2),
        morphs,
        solved.fps,
        solved.start_frame,
        frozenset(controlled),
    )
