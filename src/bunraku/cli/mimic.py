"""`bunraku mimic …`: from a character to a policy that moves it.

Each function makes its command's class when it is asked for; see `bunraku.cli.rig`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from bunraku.cli.command import Command, Switch
from bunraku.cli.pictures import PictureOptions
from bunraku.cli.report import reported
from bunraku.core.progress import Progress

Algorithm = Literal["ppo", "awr"]
Which = Literal["best", "last"]
Flat = arg(name="")


def train() -> type[Command]:
    """`bunraku mimic train`."""

    @dataclass(frozen=True, kw_only=True)
    class Train(Command):
        """Train a character to imitate its reference pose or a clip. Resumes where it was stopped, to the same result.

        A finished run that is given more samples or minutes goes on.
        """

        character: Positional[str]
        """bopbag, bopbag6, bopbag2, bopbag3, humanoid, or an MJCF file (.xml); blender:bopbag, which Blender simulates;
        host:COMMAND, which starts a program of yours that simulates one."""
        out: Path
        """The folder of the run to write."""
        clip: Path | None = None
        """What to imitate: a file that `bunraku clip check` reads, or one made in code: standing, squatting,
        weight_shift, marching, arm_raise. The bop bags do without: they hold their own reference pose."""
        mend: Switch = False
        """Repair of the clip what can be before it is imitated, as `bunraku clip convert --mend` does."""
        algorithm: Algorithm | None = None
        """awr: advantage-weighted regression; ppo: proximal policy optimisation; else what suits the character."""
        samples: int | None = None
        """Stop after so many control steps of all characters together; without it, what suits the character."""
        minutes: float | None = None
        """Stop after so many minutes of training in all; changes nothing else."""
        seed: int = 0
        """Same seed, same result on one machine."""
        reward: str = "auto"
        """auto, bopbag, literal, deepmimic, or python:module:function (which is code, and is run)."""
        threads: int = 1
        """Cores to work on; changes nothing but the time."""
        tensorboard: Switch = False
        """Write an event file for TensorBoard too."""
        report: bool = True
        """Write report.html into the run too: a page that shows it."""
        overwrite: Switch = False
        """Replace a run that was made with other settings."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import mimic

            done = mimic.train(
                self.character,
                self.out,
                clip=self.clip,
                mend=self.mend,
                algorithm=self.algorithm,
                samples=self.samples,
                minutes=self.minutes,
                seed=self.seed,
                reward=self.reward,
                threads=self.threads,
                tensorboard=self.tensorboard,
                overwrite=self.overwrite,
                progress=progress,
            )
            return reported(done, self.out) if self.report else done

    return Train


def evaluate() -> type[Command]:
    """`bunraku mimic evaluate`."""

    @dataclass(frozen=True, kw_only=True)
    class Evaluate(Command):
        """How well a run's policy does without jitter, beside no action and a hand-tuned controller; and pushes."""

        run_folder: Positional[Path]
        """A run from `bunraku mimic train`."""
        episodes: int = 32
        """Episodes, all from other starts."""
        episode_s: float = 20.0
        """Length of an episode [s]."""
        character: str | None = None
        """The character as it is now (a file, blender:bopbag, host:COMMAND); it must be what the run was trained with.
        Else the run's own copy."""
        policy: Which = "last"
        """last: after the last update; best: whose episodes had the highest return while training."""
        seed: int = 0
        """Of the starts."""
        pushes: bool = True
        """Also find the largest push that is survived."""
        report: bool = True
        """Write what was found into the run's report.html too."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import mimic

            done = mimic.evaluate(
                self.run_folder,
                episodes=self.episodes,
                episode_s=self.episode_s,
                character=self.character,
                policy=self.policy,
                seed=self.seed,
                push=self.pushes,
            )
            return reported(done, self.run_folder, evaluation=done) if self.report else done

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values

            pushes = result.get("pushes")
            print_values({name: value for name, value in result.items() if name != "pushes"})
            if pushes:
                title = (
                    f"largest push of {pushes['push_s']:.2f} s on {pushes['body']}, up to {pushes['greatest_n']:g} N"
                )
                print_rows(title, pushes["directions"])

    return Evaluate


def export() -> type[Command]:
    """`bunraku mimic export`."""

    @dataclass(frozen=True, kw_only=True)
    class Export(Command):
        """A run's policy, or its simulated motion, in a file for other programs: by the file's ending."""

        run_folder: Positional[Path]
        """A run from `bunraku mimic train`."""
        to: Path
        """The file to write. Policy: .onnx, or .npz for the player of numpy alone. Motion: .glb (to be looked at in
        Blender or a browser), .bvh, .json or .txt (DeepMimic), .pkl (MimicKit), and .npz with --motion. Pictures of it:
        .mp4, .gif, and .png for a sheet of them."""
        motion: float = 0.0
        """So many seconds of simulated motion; without it ten, or a clip that does not loop to its end [s]."""
        policy: Which = "last"
        """Which of the run's policies."""
        seed: int = 0
        """Of the start of a motion that follows no clip; others begin on the clip's first frame."""
        overwrite: Switch = False
        """Replace a file that is there."""
        pictures: Annotated[PictureOptions, Flat] = field(default_factory=PictureOptions)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import mimic

            return mimic.export(
                self.run_folder,
                self.to,
                motion=self.pictures.seconds or self.motion,
                policy=self.policy,
                seed=self.seed,
                pictures=self.pictures.chosen(),
                sheet=self.pictures.sheet,
                overwrite=self.overwrite,
                progress=progress,
            )

    return Export
