"""A shot followed frame by frame on the true rig itself: no samples, no approximation, few evaluations.

For rigs without derivatives and with many controls, of which a black-box approximation would need far more samples than
a shot has frames. One Jacobian by finite differences is kept true by what every step shows (Broyden 1965) and carried
from frame to frame; another is taken where steps no longer help.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bunraku.core import artifact
from bunraku.core.mesh_sequence import MeshSequence
from bunraku.core.progress import Progress, silent
from bunraku.core.rig import Rig
from bunraku.inversion.approximation import Approximation
from bunraku.inversion.guidance import Limits
from bunraku.inversion.pursuit import FollowConfig, Pursuit
from bunraku.inversion.refine import FiniteDifferences, difference_step

KIND = "followed shot"
_STATE = "state.safetensors"
_KEEP_S = 10.0
"""How much work an interruption may cost [s]."""
_LOST = 10.0
"""So many times a typical frame's error."""


@dataclass(frozen=True, eq=False)
class Followed:
    """The curves of a shot, and what they cost."""

    controls: Float[np.ndarray, "frames controls"]
    relative_rms: Float[np.ndarray, "frames"]
    """On the true rig."""
    evaluations: int
    """Of the true rig, in all."""
    jacobians: int
    """How many times derivatives were taken."""
    normal: Float[np.ndarray, "poses controls controls"]
    """JᵀJ, per range and relative, at some of the poses where they were."""


def follow(
    rig: Rig,
    capture: MeshSequence,
    cfg: FollowConfig | None = None,
    progress: Progress = silent,
    *,
    limits: Limits | None = None,
    out: Path | None = None,
) -> Followed:
    """The controls of an aligned capture, each frame begun from the one before, the first from neutral.

    `limits` (see `inversion.guidance`) replace the rig's own bounds. `out` is a folder in which the state is kept: the
    same call after an interruption goes on from there to the same result.

    Raises:
        BunrakuError: a pose that the rig fails at, an `out` of other inputs.
    """
    cfg, limits = cfg or FollowConfig(), limits or Limits.of(rig.spec)
    pursuit, kept = Pursuit(rig, capture, cfg, limits), _Kept(None)
    controls, errors = np.empty((capture.frames, len(rig.spec))), np.empty(capture.frames)
    if out is not None:
        weights = [] if pursuit.weights is None else [pursuit.weights]
        made_from = artifact.array_hash(capture.vertices, rig.neutral, limits.lower, limits.upper, *weights)
        artifact.open_output(out, KIND, {**asdict(cfg), "controls": list(rig.spec.names), "made_from": made_from})
        kept = _Kept(out / _STATE)
    for frame in range(kept.restore(pursuit, controls, errors), capture.frames):
        pursuit.face(frame)
        pursuit.improve()
        while pursuit.wants_derivatives() and pursuit.differentiate():
            pass
        controls[frame], errors[frame] = pursuit.controls(pursuit.u), pursuit.error()
        note = f"error {errors[: frame + 1].mean():.1e}, {pursuit.evaluations / (frame + 1):.0f} evaluations a frame"
        progress("follow", frame + 1, capture.frames, note)
        kept.keep(pursuit, controls[: frame + 1], errors[: frame + 1], last=frame + 1 == capture.frames)
    # A frame that lost its way tries again from the one behind it, which found on.
    for frame in reversed(range(capture.frames - 1)):
        if errors[frame] > _LOST * max(cfg.enough, float(np.median(errors))) and errors[frame + 1] < errors[frame]:
            pursuit.begin(controls[frame + 1])
            pursuit.face(frame)
            pursuit.come = cfg.evaluations
            pursuit.differentiate()
            if pursuit.error() < errors[frame]:
                controls[frame], errors[frame] = pursuit.controls(pursuit.u), pursuit.error()
    return Followed(controls, errors, pursuit.evaluations, pursuit.jacobians, pursuit.seen.normals())


class _Kept:
    """The state between two frames, in a file that is replaced at once."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.written_s = file, time.monotonic()

    def restore(self, pursuit: Pursuit, controls: np.ndarray, errors: np.ndarray) -> int:
        """Go back to what was kept; the frame to go on with."""
        if self.file is None or not self.file.exists():
            return 0
        arrays = artifact.read_arrays(self.file)
        done = len(arrays["errors"])
        controls[:done], errors[:done] = arrays["controls"], arrays["errors"]
        pursuit.unpack(arrays)
        return done

    def keep(self, pursuit: Pursuit, controls: np.ndarray, errors: np.ndarray, *, last: bool) -> None:
        """Now and then, and at the end: what follows then begins from what there is."""
        if self.file is None or not (last or time.monotonic() - self.written_s > _KEEP_S):
            return
        artifact.write_arrays(self.file, {**pursuit.packed(), "controls": controls, "errors": errors})
        self.written_s = time.monotonic()


JACOBIANS = 20.0
"""Evaluations a frame that a shot's Jacobians may cost."""
SPARE = 10
"""Jacobians beside those: the first frames, and motion that bends."""


def paced(controls: int, frames: int, steps: int) -> FollowConfig:
    """How a shot is followed with about `JACOBIANS` + `steps` evaluations a frame."""
    every = max(1, round(controls / JACOBIANS))
    allowed = round((JACOBIANS + steps) * frames) + SPARE * controls
    return FollowConfig(steps=max(steps, 1), enough=1e-5, every=every, evaluations=allowed)


def tangent(rig: Rig) -> Approximation:
    """The rig's linear approximation at neutral, by finite differences: `controls` + 1 evaluations."""
    spec = rig.spec
    differences = FiniteDifferences(rig, difference_step(rig))
    mesh, jacobian = differences.linearize(spec.neutral[None])
    rows = jacobian[0].reshape(len(spec), -1) * spec.range[:, None]
    basis, skip = np.linalg.qr(rows.T)
    return Approximation(
        spec=spec,
        faces=rig.faces,
        neutral=rig.neutral,
        centre=spec.neutral,
        spread=spec.range,
        mean=mesh[0].reshape(-1),
        basis=np.ascontiguousarray(basis.T),
        scale=1.0,
        skip=skip,
        terms=np.zeros((0, 1), np.int64),
        products=np.zeros((len(skip), 0)),
        layers=(),
    )
