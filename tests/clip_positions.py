"""Where the joints of a clip are."""

import numpy as np

from bunraku.core.transforms import world_transforms


def world(read):
    """World transforms (frames, joints, 3, 4) of a clip."""
    bones = read.skeleton
    translation = np.tile(bones.rest_translation, (read.frames, 1, 1))
    translation[:, bones.order[0]] = read.root_pos_w
    return world_transforms(bones, translation, read.joint_quat, np.ones_like(translation))


def positions(read):
    """World positions (frames, joints, 3) of a clip."""
    return world(read)[..., 3]
