"""`bunraku rig improve`: a model sampled anew around a shot.

The class is made when it is asked for, and annotations are evaluated at once, as in `bunraku.cli.rig`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, RigCommand, Switch
from bunraku.core.progress import Progress


def improve() -> type[Command]:
    """`bunraku rig improve`."""
    from bunraku.inversion.active import ActiveConfig
    from bunraku.inversion.solve import SolveConfig

    @dataclass(frozen=True, kw_only=True)
    class Improve(RigCommand):
        """A model made better around a shot: the true rig is sampled where the model is weak. Resumes."""

        model: Positional[Path]
        """A model from `bunraku rig fit`, or an improved one."""
        capture: Positional[Path]
        """The shot: a captured mesh sequence, as for `bunraku rig invert`."""
        rig: str
        """The rig: see `bunraku rig describe`."""
        out: Path
        """The folder of the improved model to write."""
        samples: Path | None = None
        """The samples that the model was fitted to; without them it is held, elsewhere, to its own answers."""
        align: Literal["auto", "none"] = "auto"
        """Whether a capture in other axes, units or places is mended first."""
        workers: int = 1
        """Processes that evaluate the rig."""
        device: str = "cpu"
        """cpu, cuda, or another device of PyTorch's; only for models with a network."""
        overwrite: Switch = False
        """Replace a model that was made with other settings."""
        solve: SolveConfig = field(default_factory=SolveConfig)
        cfg: Annotated[ActiveConfig, arg(name="")] = field(default_factory=ActiveConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.improve(
                self.model,
                self.capture,
                self.rig,
                self.out,
                self.cfg,
                solving=self.solve,
                samples=self.samples,
                align=self.align,
                workers=self.workers,
                device=self.device,
                overwrite=self.overwrite,
                progress=progress,
            )

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values

            print_rows("rounds", result["history"])
            print_values({name: value for name, value in result.items() if name != "history"})

    return Improve
