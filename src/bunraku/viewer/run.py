"""A policy that acts while it is watched: stopped, stepped, pushed, put into physics that it does not know."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import viser
from viser import uplot

from bunraku.core.errors import BunrakuError
from bunraku.core.live import Glimpse, Live
from bunraku.viewer.figure import Figure
from bunraku.viewer.panel import SPEEDS, table, text, words
from bunraku.viewer.stage import set_ground, set_stage

DIRECTIONS = {"forward": 0.0, "left": 90.0, "backward": 180.0, "right": 270.0}
"""Degrees about z from +x, along which characters face."""
_MOUSE_N_PER_M = 600.0
_MOST_N = 3000.0
_REMEMBERED = 300
_TOLD_S, _DRAWN_S = 0.2, 1.0


class RunScene:
    """See `Scene`."""

    def __init__(self, server: viser.ViserServer, live: Live) -> None:
        self.live = live
        self._server = server
        self._ground = set_stage(server, "z", 1.3)
        gui = server.gui
        self._status = gui.add_html("")
        self._paused = gui.add_checkbox("pause", False)
        self._speed = gui.add_dropdown("speed", SPEEDS, initial_value="1")
        self._steps = self._restarts = self._pushes = 0
        gui.add_button("one step").on_click(lambda _: self._count("_steps"))
        gui.add_button("begin anew").on_click(lambda _: self._count("_restarts"))
        self._ghost = gui.add_checkbox("ghost of the reference", True)
        self._follow = gui.add_checkbox("camera goes along", True)
        self._add_push(server)
        self._add_physics(server)
        self.figure = Figure(server, "/figure", live.body_names, live.solids)
        self.ghost = Figure(server, "/ghost", live.body_names, live.solids, ghost=True)
        self._arrow = server.scene.add_line_segments(
            "/push", np.zeros((1, 2, 3), np.float32), (213, 94, 0), thickness=5.0, visible=False
        )
        self._pulled: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for body, handle in self.figure.handles.items():
            handle.on_drag("left")(lambda event, body=body: self._drag(event, body))
        rewards = np.zeros(2)
        series = (uplot.Series(label="s"), uplot.Series(label="reward", stroke="#0072b2", width=1.5))
        ranges = {"x": uplot.Scale(time=False), "y": uplot.Scale(auto=False, range=(0.0, 1.0))}
        self._chart = gui.add_uplot((rewards, rewards), series, scales=ranges, title="reward", aspect=2.2)
        self._past: deque[float] = deque(maxlen=_REMEMBERED)
        self._origin = np.zeros(3)
        self._before = self._told = self._drawn = 0.0
        self._owed_s, self._episodes, self._last = 0.0, 0, ""
        self._ghost_shown = True
        self.glimpse = live.restart()
        self._show(self.glimpse)

    def _count(self, what: str) -> None:
        setattr(self, what, getattr(self, what) + 1)

    def _add_push(self, server: viser.ViserServer) -> None:
        gui = server.gui
        names = {text(f"{i}: {name}", 40): name for i, name in enumerate(self.live.body_names)}
        with gui.add_folder("push"):
            self._bodies = names
            self._body = gui.add_dropdown("body", tuple(names), initial_value=next(iter(names)))
            self._direction = gui.add_dropdown("direction", tuple(DIRECTIONS), initial_value="forward")
            self._newtons = gui.add_slider("force [N]", 0, 1000, 10, 200)
            self._seconds = gui.add_slider("for [s]", 0.05, 1.0, 0.05, 0.2)
            gui.add_button("push").on_click(lambda _: self._count("_pushes"))
            gui.add_html(words("Or pull a part of the body with the mouse."))

    def _add_physics(self, server: viser.ViserServer) -> None:
        gui, live = server.gui, self.live
        with gui.add_folder("physics", expand_by_default=False):
            gui.add_html(words(f"The policy is bound to the physics rate it was trained at, {live.trained_hz:g} Hz."))
            self._allowed = gui.add_checkbox("allow other rates: off-limits", False)
            most = max(4, round(4 * live.trained_hz / live.control_hz))
            per = round(live.trained_hz / live.control_hz)
            self._substeps = gui.add_slider("physics steps per control step", 1, most, 1, per)
            self._warning = gui.add_html("")
        self._rate = live.trained_hz

    def tick(self, now_s: float) -> None:
        """See `Scene`."""
        passed, self._before = min(0.25, now_s - self._before), now_s
        self._set_physics()
        if self._restarts:
            self._restarts = 0
            self._took(self.live.restart())
        if self._pushes:
            self._pushes = 0
            turn = math.radians(DIRECTIONS[self._direction.value])
            force = np.array([math.cos(turn), math.sin(turn), 0.0]) * float(self._newtons.value)
            self.live.push(self._bodies[self._body.value], force, float(self._seconds.value))
        self._advance(passed)
        if self._ghost_shown != self._ghost.value:
            self.ghost.set_visible(self._ghost.value)
            self._ghost_shown = self._ghost.value
        self._tell(now_s)

    def _advance(self, passed_s: float) -> None:
        """As many control steps as the time that has passed is worth; never more than can be caught up with."""
        due = min(self._steps, 1)
        self._steps -= due
        if not self._paused.value:
            self._owed_s = min(0.25, self._owed_s + passed_s * float(self._speed.value))
            whole = int(self._owed_s * self.live.control_hz)
            self._owed_s -= whole / self.live.control_hz
            due += whole
        for _ in range(due):
            self._pull()
            self._took(self.live.step())
        if due:
            self._show(self.glimpse)

    def _took(self, glimpse: Glimpse) -> None:
        self.glimpse = glimpse
        if glimpse.ended or not glimpse.time_s:
            self._past.clear()
            self._episodes += 1
            self._last = glimpse.ended
            return
        self._past.append(glimpse.reward)

    def _show(self, glimpse: Glimpse) -> None:
        self._origin = np.array([*glimpse.body_pos_w[0, :2], 0.0]) if self._follow.value else np.zeros(3)
        with self._server.atomic():
            set_ground(self._ground, self._origin)
            self.figure.show(glimpse.body_pos_w - self._origin, glimpse.body_quat_w)
            self.ghost.show(glimpse.ghost_pos_w - self._origin, glimpse.ghost_quat_w)

    def _drag(self, event: viser.SceneNodeDragEvent[viser.MeshHandle], body: int) -> None:
        if event.phase == "end":
            self._pulled.pop(body, None)
            self._arrow.visible = False
            return
        self._pulled[body] = (np.array(event.start_position), np.array(event.end_position))

    def _pull(self) -> None:
        """The mouse pulls like a spring, for one control step after the other."""
        for body, (held, wanted) in list(self._pulled.items())[:1]:
            force = _MOUSE_N_PER_M * (wanted - held)
            size = float(np.linalg.norm(force))
            force *= min(1.0, _MOST_N / max(size, 1e-9))
            self.live.push(self.live.body_names[body], force, 1 / self.live.control_hz)
            self._arrow.points = np.stack([held, wanted])[None].astype(np.float32)
            self._arrow.visible = True

    def _set_physics(self) -> None:
        hz = self._substeps.value * self.live.control_hz
        if hz == self._rate and (self._allowed.value or hz == self.live.trained_hz):
            return
        try:
            self._took(self.live.set_physics_hz(hz, allowed=self._allowed.value))
            self._rate = hz
            off = f"Off-limits: physics at {hz:g} Hz; what the policy does now says nothing about it."
            self._warning.content = words(off) if hz != self.live.trained_hz else ""
        except BunrakuError as error:
            self._substeps.value = round(self.live.trained_hz / self.live.control_hz)
            self._warning.content = words(f"Refused: {error}. Allow other rates first.")
            if self._rate != self.live.trained_hz:
                self._took(self.live.set_physics_hz(self.live.trained_hz, allowed=False))
                self._rate = self.live.trained_hz

    def _tell(self, now_s: float) -> None:
        glimpse = self.glimpse
        if now_s - self._told > _TOLD_S:
            self._told = now_s
            told = {"run": text(self.live.name), "time": f"{glimpse.time_s:.2f} s", "reward": f"{glimpse.reward:.3f}"}
            told |= {"return so far": f"{glimpse.mean_reward:.3f}"}
            told |= {text(name, 30): f"{value:.3f}" for name, value in glimpse.terms.items()}
            told |= {"physics": f"{self.live.physics_hz:g} Hz", "control": f"{self.live.control_hz:g} Hz"}
            why = {"fell": "it fell", "time": "its time was over"}.get(self._last, "")
            self._status.content = table(told | ({"last episode": why} if why else {}))
        if now_s - self._drawn > _DRAWN_S and len(self._past) > 1:
            self._drawn = now_s
            past = np.array(self._past)
            last = glimpse.time_s
            times = last - (len(past) - 1 - np.arange(len(past))) / self.live.control_hz
            self._chart.data = (times, past)
