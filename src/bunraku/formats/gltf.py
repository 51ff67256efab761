"""glTF 2.0 (.glb, .gltf): a file's meshes, skeleton and animations as core values, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from bunraku.core.animation import Animation
from bunraku.core.skinning import SkinnedCharacter
from bunraku.formats.gltf_animation import read_animations
from bunraku.formats.gltf_append import append_animation as append_animation
from bunraku.formats.gltf_container import read_document
from bunraku.formats.gltf_mesh import morph_groups, read_character, skin_joints
from bunraku.formats.gltf_scene import read_skeleton
from bunraku.formats.gltf_write import write_gltf as write_gltf


@dataclass(frozen=True, eq=False)
class GltfFile:
    """What a glTF file says about meshes that move."""

    path: Path
    character: SkinnedCharacter
    """All nodes of the file, in or out of the scene, are joints of its skeleton; world space, Y up, the file's unit.
    Vertices are the POSITION accessors of the mesh nodes in ascending order, then in primitive order."""
    animations: tuple[Animation, ...]
    skin_joints: Int[np.ndarray, "joints"]
    """Nodes that are a joint of some skin that a mesh node uses, ascending."""


def read_gltf(path: Path) -> GltfFile:
    """Read a .glb or .gltf file with the buffers that it names.

    Rest is the nodes' transforms in the file, not the bind pose; a skinned mesh ignores its own node's transform.

    Raises:
        BunrakuError: one line that names the file and what in it is missing, truncated, out of range, contradictory or
            not supported. Declared sizes are checked against the file before memory is taken.
    """
    document = read_document(path)
    skeleton = read_skeleton(document)
    character = read_character(document, skeleton)
    animations = read_animations(document, morph_groups(document))
    return GltfFile(path, character, animations, skin_joints(document))
