# SPDX-License-Identifier: GPL-3.0-or-later
"""An animated object as a mesh sequence that bunraku reads."""

from fractions import Fraction

import bpy
import numpy as np

from .preferences import MistakeError


def rate(scene):
    """The scene's frame rate, exactly: 24 over a base of 1.001 is 24000/1001."""
    return Fraction(scene.render.fps) / Fraction(scene.render.fps_base).limit_denominator(10_000)


def bake(scene, one, start, end, path):
    """Write the evaluated mesh of every frame, in world space; yields how much is done.

    Raises:
        MistakeError: no frames, no points, another number of points on some frame.
    """
    if end < start:
        raise MistakeError(f"the capture's frames run from {start} to {end}")
    before, rows, faces = scene.frame_current, [], None
    try:
        for frame in range(start, end + 1):
            scene.frame_set(frame)
            points, triangles = shown(one)
            faces = triangles if faces is None else faces
            if len(points) == 0 or (rows and points.shape != rows[0].shape):
                raise MistakeError(
                    f"{one.name}: has {len(points)} points on frame {frame}, {len(rows[0]) if rows else 0} before"
                )
            rows.append(points)
            yield len(rows) / (end - start + 1)
    finally:
        scene.frame_set(before)
    fps = rate(scene)
    np.savez(
        path,
        vertices=np.stack(rows),
        faces=faces,
        fps=np.array([fps.numerator, fps.denominator]),
        start_frame=np.array(start),
    )


def shown(one):
    """Points (V, 3) in world space and triangles (T, 3) of the evaluated mesh."""
    evaluated = one.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    try:
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", points)
        mesh.calc_loop_triangles()
        corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        place = np.array(evaluated.matrix_world, np.float64)
    finally:
        evaluated.to_mesh_clear()
    return (points.reshape(-1, 3) @ place[:3, :3].T + place[:3, 3]).astype(np.float32), corners.reshape(-1, 3)
