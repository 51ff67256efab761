# SPDX-License-Identifier: GPL-3.0-or-later
"""Control values into a mesh."""

import bpy
import bunraku_host as protocol
import numpy as np

from bunraku_blender import stage


class Poser:
    """Sets what has changed since the last pose, lets Blender evaluate, and reads the vertices in world space."""

    def __init__(self, mesh, controls):
        self.mesh = mesh
        self.controls = controls
        self.rest()
        self.neutral = self._read()

    def rest(self):
        """Set all controls to neutral, whatever Blender has."""
        self.now = np.array([control.neutral for control in self.controls], np.float64)
        for control in self.controls:
            control.setter.set(control.slot, control.neutral)
        for setter in {control.setter for control in self.controls}:
            setter.write()

    def pose(self, values):
        """The vertices (V, 3) at these control values."""
        values = np.asarray(values, np.float64)
        changed = np.flatnonzero(values != self.now)
        touched = {}
        for column in changed:
            control = self.controls[column]
            control.setter.set(control.slot, float(values[column]))
            touched[id(control.setter)] = control.setter
        for setter in touched.values():
            setter.write()
        self.now[changed] = values[changed]
        vertices = self._read()
        if len(vertices) != len(self.neutral):
            raise protocol.MistakeError(self._changes_count(values))
        return vertices

    def _read(self):
        bpy.context.view_layer.update()
        return stage.points(self.mesh)

    def check_vertex_count(self):
        """Refuse, before anything is sampled, a mesh whose vertices come and go: three poses are tried."""
        lower, upper = (np.array([getattr(c, side) for c in self.controls]) for side in ("lower", "upper"))
        random = np.random.RandomState(0)
        rest = self.now.copy()
        for _ in range(3):
            self.pose(
                rest + random.uniform(0, 1, len(rest)) * (np.where(random.rand(len(rest)) < 0.5, lower, upper) - rest)
            )
        self.pose(rest)

    def _changes_count(self, values):
        """Which modifier is to blame: the first whose result has another number of vertices here than at rest."""
        modifiers = [one for one in self.mesh.modifiers if one.show_viewport]
        rest = np.array([control.neutral for control in self.controls])
        culprit = "its modifiers"
        for modifier in modifiers:
            modifier.show_viewport = False
        for modifier in modifiers:
            modifier.show_viewport = True
            if self._count(values) != self._count(rest):
                culprit = f"its modifier {modifier.name!r} ({modifier.type.lower()})"
                break
        for modifier in modifiers:
            modifier.show_viewport = True
        return f"object {self.mesh.name!r}: {culprit} changes the number of vertices from pose to pose"

    def _count(self, values):
        for column, control in enumerate(self.controls):
            control.setter.set(control.slot, float(values[column]))
            control.setter.write()
        self.now[:] = values
        return len(self._read())
