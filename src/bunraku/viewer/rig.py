"""A rig with a slider for each control; beside it, if there is one, its approximation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import viser

from bunraku.core.colours import APPROXIMATED, SOLVED, round_top
from bunraku.core.rig import Rig, diagonal
from bunraku.viewer.panel import scale, table, text
from bunraku.viewer.stage import place_of, set_stage
from bunraku.viewer.surface import AmountSurface, Surface

_FEW = 16
"""So many controls are shown without being folded away."""


class RigScene:
    """See `Scene`."""

    def __init__(
        self, server: viser.ViserServer, rig: Rig, name: str, up: Literal["y", "z"], model: Rig | None = None
    ) -> None:
        self.rig, self.model = rig, model
        self._columns = np.arange(len(rig.spec)) if model is None else _columns(rig, model)
        self._place = place_of(rig.neutral[None], up)
        self._unit = diagonal(rig.neutral)
        set_stage(server, up, self._place.width(1 if model is None else 2))
        self._mesh: Surface | AmountSurface
        gui = server.gui
        self._status = gui.add_html("")
        if model is None:
            self._mesh = Surface(server, "/rig", rig.faces, SOLVED)
        else:
            self._mesh = AmountSurface(server, "/rig", rig.faces)
            self._beside = Surface(server, "/approximation", rig.faces, APPROXIMATED)
            self._scale = gui.add_html("")
        self._neutral, self._random = gui.add_button("neutral pose"), gui.add_button("random pose")
        self._asked: Literal["", "neutral", "random"] = ""
        self._neutral.on_click(lambda _: self._ask("neutral"))
        self._random.on_click(lambda _: self._ask("random"))
        self._find = gui.add_text("find", "", hint="shows only controls whose names hold this")
        self._found = ""
        self._rng = np.random.default_rng(0)
        self.sliders = self._add_sliders(server)
        self._values: np.ndarray | None = None
        self._about = {"rig": text(name), "vertices": f"{len(rig.neutral):,}", "controls": f"{len(rig.spec):,}"}

    def _ask(self, what: Literal["neutral", "random"]) -> None:
        self._asked = what

    def _add_sliders(self, server: viser.ViserServer) -> list[viser.GuiSliderHandle[float]]:
        """In folders, one for each part of the rig that has several."""
        spec = self.rig.spec
        groups: dict[str, list[int]] = {}
        for i, name in enumerate(spec.names):
            groups.setdefault(name.rpartition(".")[0] or name, []).append(i)
        self._folders: list[tuple[viser.GuiFolderHandle, str]] = []
        found: dict[int, viser.GuiSliderHandle[float]] = {}
        for group, columns in groups.items():
            folder = server.gui.add_folder(text(group, 40), expand_by_default=len(spec) <= _FEW)
            self._folders.append((folder, " ".join([group, *(spec.names[i] for i in columns)]).lower()))
            with folder:
                for i in columns:
                    found[i] = self._slider(server, i)
        return [found[i] for i in range(len(spec))]

    def _slider(self, server: viser.ViserServer, i: int) -> viser.GuiSliderHandle[float]:
        spec = self.rig.spec
        low, high = float(spec.lower[i]), float(spec.upper[i])
        name = spec.names[i].rpartition(".")[2] or spec.names[i]
        unit = spec.units[i] if spec.units[i] != "1" else ""
        return server.gui.add_slider(
            text(name, 40),
            low,
            high,
            max((high - low) / 1000, 1e-9),
            float(np.clip(spec.neutral[i], low, high)),
            disabled=bool(spec.driven[i]) or high <= low,
            hint=text(f"{spec.names[i]}{f' [{unit}]' if unit else ''}, {low:g} to {high:g}"),
        )

    def tick(self, now_s: float) -> None:
        """See `Scene`."""
        del now_s
        self._obey()
        values = np.array([float(slider.value) for slider in self.sliders])
        if self._values is not None and np.array_equal(values, self._values):
            return
        self._values = values
        mesh = self.rig.evaluate(values[None])[0]
        if isinstance(self._mesh, Surface):
            self._mesh.show(self._place.put(mesh))
            self._status.content = table(self._about)
            return
        self._compare(mesh, values)

    def _compare(self, mesh: np.ndarray, values: np.ndarray) -> None:
        assert self.model is not None
        assert isinstance(self._mesh, AmountSurface)
        other = self.model.evaluate(values[None][:, self._columns])[0]
        apart = np.linalg.norm(other - mesh, axis=1)
        top = round_top(max(float(np.percentile(apart, 99)), 1e-6 * self._unit))
        self._mesh.show(self._place.put(mesh, -0.5), apart, top)
        self._beside.show(self._place.put(other, 0.5))
        self._scale.content = scale(f"{top:g}", "difference")
        told = {"mean difference": f"{apart.mean():.4g}", "largest difference": f"{apart.max():.4g}"}
        relative = {"mean / diagonal": f"{apart.mean() / self._unit:.2e}"}
        sides = {"left": "rig, difference as colour", "right": "approximation"}
        self._status.content = table({**self._about, **sides, **told, **relative})

    def _obey(self) -> None:
        if self._find.value != self._found:
            self._found = self._find.value
            for folder, names in self._folders:
                folder.visible = self._found.lower() in names
        if not self._asked:
            return
        asked, self._asked = self._asked, ""
        spec = self.rig.spec
        values = spec.neutral.copy()
        if asked == "random":
            # A few controls by about a third of their range: all of them at once make a knot of most rigs.
            moved = self._rng.random(len(spec)) < max(3 / len(spec), 0.08)
            values += moved * self._rng.uniform(-0.35, 0.35, len(spec)) * spec.range
        for slider, value, low, high in zip(self.sliders, values, spec.lower, spec.upper, strict=True):
            if not slider.disabled:
                slider.value = float(np.clip(value, low, high))


def _columns(rig: Rig, model: Rig) -> np.ndarray:
    """The rig's columns of the model's controls; the model may know fewer."""
    return np.array([rig.spec.index(name) for name in model.spec.names])
