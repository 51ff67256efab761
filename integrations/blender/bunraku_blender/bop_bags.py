# SPDX-License-Identifier: GPL-3.0-or-later
"""Bop bags in Blender's own rigid-body simulation (Bullet), side by side, driven frame by frame.

A bag is one rigid body on a hinge, its centre of mass above it: nothing holds it upright. Blender has no call that
applies a torque; its MOTOR constraint pushes towards a speed with at most so much torque, so that with a speed that is
never reached that torque is what acts, until it is set anew. Blender tells no velocities either: they are
the change of the angle over the last frame.
"""

import math

import bpy
import bunraku_host as protocol
import numpy as np

MASS, RADIUS, LOW, HIGH = 3.0, 0.12, 0.15, 0.95
"""kg; m: a capsule about the line from LOW to HIGH above the hinge."""
MIDDLE = (LOW + HIGH) / 2
LYING = math.pi / 2
APART = 2.0
"""Between bags [m]; they have no ground and touch nothing."""
FAST = 1000.0
"""A speed that no bag reaches [rad/s]."""
FIRST = 1
"""The frame on which a simulation begins."""


def open_world(count, frames, character="bopbag", control_hz=24.0, substeps=8):
    """So many bags, for at most so many frames: what is told of them, and the bags."""
    if character != "bopbag":
        raise protocol.MistakeError(f"no character {character!r}; there is: bopbag")
    if control_hz != round(control_hz) or not 1 <= count <= 4096 or not 1 <= frames <= 1_000_000:
        raise protocol.MistakeError(f"{count} bags for {frames} frames at {control_hz:g} Hz: cannot be")
    return {"control_hz": control_hz, "physics_hz": control_hz * substeps}, BopBags(count, frames, control_hz, substeps)


class BopBags:
    """Bags in a scene: one that is given, empty and shown, or the only one, which is emptied."""

    def __init__(self, count, frames, control_hz, substeps, scene=None):
        self.hz, self.frames = control_hz, frames
        self.scene = _world(_empty_scene() if scene is None else scene, round(control_hz), frames, substeps)
        anchor = _body(self.scene, "anchor", _capsule_mesh(0.01, 0.05), "PASSIVE")
        anchor.location = (0, 0, -1)
        shape = _capsule_mesh(RADIUS, (HIGH - LOW) / 2)
        self.bags, self.hinges, self.motors = [], [], []
        for index in range(count):
            bag = _body(self.scene, f"bag {index}", shape, "ACTIVE")
            place = (0.0, APART * index, 0.0)
            # A hinge turns about its own z, a motor about its own x: here both are the world's y.
            self.hinges.append(_constraint(self.scene, "HINGE", place, (-math.pi / 2, 0, 0), anchor, bag))
            self.motors.append(_constraint(self.scene, "MOTOR", place, (0, 0, math.pi / 2), anchor, bag))
            self.bags.append(bag)
        self.turned = np.zeros(count)
        self.speed = np.zeros(count)

    def reset(self, qpos, qvel):
        """All bags at these angles about y [rad] and at rest, at the simulation's beginning."""
        if qpos.shape != (len(self.bags), 1) or np.any(qvel):
            raise protocol.MistakeError(f"angles of shape {qpos.shape} for {len(self.bags)} bags, which begin at rest")
        self.scene.frame_set(FIRST)
        self.act(np.zeros((len(self.bags), 1)))
        for index, angle in enumerate(qpos[:, 0].tolist()):
            bag, hinge = self.bags[index], self.hinges[index]
            bag.location = (MIDDLE * math.sin(angle), APART * index, MIDDLE * math.cos(angle))
            bag.rotation_euler = (0, angle, 0)
            # A hinge counts from where its body is when the simulation begins, and the other way round.
            hinge.limit_ang_z_lower, hinge.limit_ang_z_upper = angle - LYING, angle + LYING
            # Setting any property of a body tells Blender that what it has simulated so far is out of date.
            bag.rigid_body.mass = MASS
        bpy.context.view_layer.update()
        self.turned, self.speed = qpos[:, 0].copy(), np.zeros(len(self.bags))

    def act(self, controls):
        """Torques about y [N m]."""
        for motor, torque in zip(self.motors, controls[:, 0].tolist(), strict=True):
            # A motor turns the first of its bodies, here the one that cannot move, against the second.
            motor.motor_ang_target_velocity = -math.copysign(FAST, torque)
            motor.motor_ang_max_impulse = abs(torque)

    def step(self):
        """One frame."""
        frame = self.scene.frame_current + 1
        if frame > FIRST + self.frames:
            raise protocol.MistakeError(f"the simulation was opened for {self.frames} frames")
        self.scene.frame_set(frame)
        before, self.turned = self.turned, self.angles()
        self.speed = (self.turned - before) * self.hz

    def observe(self):
        """Angles (count, 1) [rad], speeds over the last frame (count, 1) [rad/s]."""
        return self.turned[:, None], self.speed[:, None]

    def angles(self):
        """How far each bag leans now [rad]."""
        evaluated = bpy.context.evaluated_depsgraph_get()
        found = np.array([bag.evaluated_get(evaluated).matrix_world for bag in self.bags])
        return np.arctan2(found[:, 0, 2], found[:, 2, 2])


def _empty_scene():
    for one in list(bpy.data.objects):
        bpy.data.objects.remove(one)
    if bpy.context.scene.rigidbody_world is not None:
        bpy.ops.rigidbody.world_remove()
    return bpy.context.scene


def _world(scene, fps, frames, substeps):
    scene.render.fps, scene.render.fps_base = fps, 1.0
    scene.gravity = (0, 0, -9.81)
    bpy.ops.rigidbody.world_add()
    world = scene.rigidbody_world
    world.substeps_per_frame, world.solver_iterations = substeps, 20
    world.point_cache.frame_start, world.point_cache.frame_end = FIRST, FIRST + frames
    scene.frame_start, scene.frame_end = FIRST, FIRST + frames
    scene.frame_set(FIRST)
    return scene


def _select(scene, one):
    bpy.context.view_layer.objects.active = one
    for other in bpy.context.selected_objects:
        other.select_set(False)
    one.select_set(True)


def _body(scene, name, mesh, kind):
    one = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(one)
    _select(scene, one)
    bpy.ops.rigidbody.object_add(type=kind)
    body = one.rigid_body
    body.mass, body.collision_shape = MASS, "CAPSULE"
    body.linear_damping = body.angular_damping = 0.0
    body.use_deactivation = False
    return one


def _constraint(scene, kind, place, turned, anchor, bag):
    one = bpy.data.objects.new(f"{kind.lower()} of {bag.name}", None)
    scene.collection.objects.link(one)
    one.location, one.rotation_euler = place, turned
    _select(scene, one)
    bpy.ops.rigidbody.constraint_add(type=kind)
    held = one.rigid_body_constraint
    held.object1, held.object2, held.disable_collisions = anchor, bag, True
    held.use_limit_ang_z = kind == "HINGE"
    held.use_motor_ang = kind == "MOTOR"
    held.motor_ang_max_impulse = 0.0
    return held


def _capsule_mesh(radius, half):
    """Points of a capsule along z, two rings and two poles: Blender takes its measures from the bounding box."""
    mesh = bpy.data.meshes.new("capsule")
    turns = [2 * math.pi * k / 12 for k in range(12)]
    points = [(radius * math.cos(t), radius * math.sin(t), z) for z in (-half, half) for t in turns]
    points += [(0, 0, -half - radius), (0, 0, half + radius)]
    faces = []
    for k in range(12):
        j = (k + 1) % 12
        faces += [(k, j, 12 + j, 12 + k), (24, j, k), (25, 12 + k, 12 + j)]
    mesh.from_pydata(points, [], faces)
    return mesh
