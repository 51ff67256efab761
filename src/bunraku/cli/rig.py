"""`bunraku rig …`: from a rig and a capture to curves.

Each function makes its command's class when it is asked for, so that the help of one command does not wait for the
imports of another's settings. (That is also why annotations here are evaluated at once: those classes are local names.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from bunraku.cli.command import Command, RigCommand, Switch, patterns
from bunraku.cli.instructions import instructions
from bunraku.cli.pictures import PictureOptions
from bunraku.cli.report import reported
from bunraku.core.progress import Progress

Rate = Annotated[
    Fraction,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="RATE",
        instance_from_str=lambda words: frame_rate(words[0]),
        is_instance=lambda value: isinstance(value, Fraction),
        str_from_instance=lambda rate: [str(rate)],
    ),
]
Flat = arg(name="")  # a stage's settings are options of the command itself


def frame_rate(text: str) -> Fraction:
    """24, 23.976 or 24000/1001.

    Raises:
        ValueError: none of these.
    """
    from bunraku.core.mesh_sequence import frame_rate as exact

    try:
        return exact(Fraction(text) if "/" in text else float(text), "--fps")
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is not a frame rate; expected one such as 24, 23.976 or 24000/1001") from None


def grouped(left_out: Sequence[Mapping[str, str]]) -> dict[str, dict[str, object]]:
    """What was left out by its reason: how many, and which first."""
    names: dict[str, list[str]] = {}
    for entry in left_out:
        names.setdefault(entry["why"].partition(":")[0], []).append(entry["name"])
    return {
        why: {"count": len(some), "controls": ", ".join(some[:6]) + (", …" if len(some) > 6 else "")}
        for why, some in names.items()
    }


def describe() -> type[Command]:
    """`bunraku rig describe`."""

    @dataclass(frozen=True, kw_only=True)
    class Describe(RigCommand):
        """Controls (name, lower, upper, neutral, unit), vertices, faces, animations and evaluation speed of a rig."""

        rig: Positional[str]
        """cube, face, figure, a .glb, .gltf, .usd or .blend file (file.blend#Object where it has several),
        python:module:function, host:COMMAND, or recorded samples (a folder or .npz)."""
        controls: str = ""
        """Only these: names and shell patterns between commas, or a file with one on each line."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.describe(self.rig, controls=patterns(self.controls))

        def show(self, result: Mapping[str, Any]) -> None:
            from bunraku.cli.show import print_rows, print_values

            print_rows("controls", result["controls"])
            left_out = result.get("left_out", [])
            if left_out:
                print_rows("left out", [{"why": why, **row} for why, row in grouped(left_out).items()])
            print_values({name: value for name, value in result.items() if name not in ("controls", "left_out")})

    return Describe


def bake() -> type[Command]:
    """`bunraku rig bake`."""

    @dataclass(frozen=True, kw_only=True)
    class Bake(RigCommand):
        """A rig's own animation as a mesh sequence, with its true curves beside it (for evaluation only)."""

        rig: Positional[str]
        """The rig: see `bunraku rig describe`, which also lists its animations."""
        animation: str
        """Name of the animation."""
        out: Path
        """The mesh sequence to write, .npz."""
        fps: Rate = Fraction(24)
        """Frames per second: a number, or a fraction such as 24000/1001."""
        overwrite: Switch = False
        """Replace a file that is there."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.bake(self.rig, self.animation, self.out, fps=self.fps, overwrite=self.overwrite)

    return Bake


def sample() -> type[Command]:
    """`bunraku rig sample`."""
    from bunraku.inversion.draw import SampleConfig

    @dataclass(frozen=True, kw_only=True)
    class Sample(RigCommand):
        """Random poses of a rig and their meshes. Resumes where it was stopped, to the identical set."""

        rig: Positional[str]
        """The rig: see `bunraku rig describe`."""
        out: Path
        """The folder of samples to write."""
        controls: str = ""
        """What is sampled: names and shell patterns between commas, or a file; the rest stays at neutral."""
        workers: int = 1
        """Processes that evaluate the rig."""
        curves: Path | None = None
        """Curves (.csv, .json or .npz) around which `--sampler curves` samples."""
        overwrite: Switch = False
        """Replace samples that were made with other settings."""
        cfg: Annotated[SampleConfig, Flat] = field(default_factory=SampleConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.sample(
                self.rig,
                self.out,
                self.cfg,
                controls=patterns(self.controls),
                workers=self.workers,
                curves=self.curves,
                overwrite=self.overwrite,
                progress=progress,
            )

    return Sample


def fit() -> type[Command]:
    """`bunraku rig fit`."""
    from bunraku.inversion.fit import FitConfig

    @dataclass(frozen=True, kw_only=True)
    class Fit(Command):
        """A differentiable approximation of a rig, from samples. Resumes where it was stopped."""

        samples: Positional[Path]
        """Samples: a folder, or .npz."""
        out: Path
        """The folder of the model to write."""
        controls: str = ""
        """What may move: names and shell patterns between commas, or a file."""
        device: str = "cpu"
        """cpu, cuda, or another device of PyTorch's."""
        overwrite: Switch = False
        """Replace a model that was made with other settings."""
        cfg: Annotated[FitConfig, Flat] = field(default_factory=FitConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.fit(
                self.samples,
                self.out,
                self.cfg,
                controls=patterns(self.controls),
                device=self.device,
                overwrite=self.overwrite,
                progress=progress,
            )

    return Fit


def invert() -> type[Command]:
    """`bunraku rig invert`."""
    from bunraku.api.matching import Matching
    from bunraku.inversion.invert import InvertConfig

    @dataclass(frozen=True, kw_only=True)
    class Invert(RigCommand):
        """Control curves of a rig that reproduce a captured mesh sequence."""

        capture: Positional[Path]
        """The capture: .npz or .npy with vertices (frames, vertices, 3), .abc, .usd*, .fbx, a folder of .obj or .ply
        files, an animation as file.glb#NAME, or markers as .c3d.
        """
        rig: str
        """The rig: see `bunraku rig describe`."""
        out: Path
        """The folder of the take to write."""
        model: Path | None = None
        """An approximation from `bunraku rig fit`; without it one is made if that pays."""
        encoder: Path | None = None
        """An encoder that an earlier `--method encoder` left in its take: a first guess for the solver."""
        controls: str = ""
        """What is solved for: names and shell patterns between commas, or a file; the rest stays at neutral."""
        lock: str = ""
        """Controls that stay at neutral: names and shell patterns between commas."""
        freeze: str = ""
        """Controls that stay at a value: NAME=VALUE between commas."""
        drive: Path | None = None
        """Curves (.csv, .json or .npz) that their controls follow."""
        pin: str = ""
        """Keys that must be met: FRAME:NAME=VALUE between commas."""
        switch: str = ""
        """Controls that know a few values only: NAME=VALUE|VALUE between commas."""
        twins: str = ""
        """Pairs for --symmetric that are not found by mirroring the rig: NAME=NAME between commas."""
        stable: Path | None = None
        """A list of vertices that stand still (.json, .csv, .npy), for --stabilise; else they are found."""
        device: str = "cpu"
        """cpu, cuda, or another device of PyTorch's."""
        report: bool = True
        """Write report.html into the take too: a page that shows it."""
        overwrite: Switch = False
        """Replace a take that was made with other settings."""
        matching: Annotated[Matching, Flat] = field(default_factory=Matching)
        cfg: Annotated[InvertConfig, Flat] = field(default_factory=InvertConfig)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            said = instructions(
                lock=self.lock,
                freeze=self.freeze,
                drive=self.drive,
                pin=self.pin,
                switch=self.switch,
                twins=self.twins,
            )
            done = api.invert_file(
                self.capture,
                self.rig,
                self.out,
                self.cfg,
                model=self.model,
                encoder=self.encoder,
                controls=patterns(self.controls),
                instructions=said,
                matching=self.matching,
                stable=self.stable,
                device=self.device,
                overwrite=self.overwrite,
                progress=progress,
            )
            return reported(done, self.out, self.rig) if self.report else done

    return Invert


def evaluate() -> type[Command]:
    """`bunraku rig evaluate`."""

    @dataclass(frozen=True, kw_only=True)
    class Evaluate(RigCommand):
        """The metrics of a take, computed again on the true rig."""

        take: Positional[Path]
        """A take from `bunraku rig invert`."""
        rig: str | None = None
        """The rig, where it is not the one that the take names (a python: rig runs only when named here)."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.evaluate(self.take, self.rig)

    return Evaluate


def export() -> type[Command]:
    """`bunraku rig export`."""
    from bunraku.api.take_files import TakeFile

    @dataclass(frozen=True, kw_only=True)
    class Export(RigCommand):
        """A take or a model in a format for other programs; the file's ending says which."""

        artifact: Positional[Path]
        """A take (to .csv, .json, .npz, .anim, .usda, .glb, .blend; pictures: .mp4, .gif, .png), a model or an encoder
        (to .npz, .onnx).
        """
        to: Path
        """The file to write."""
        rig: str | None = None
        """The rig, where it is not the one that the take names (a python: rig runs only when named here)."""
        overwrite: Switch = False
        """Replace a file that is there."""
        pictures: Annotated[PictureOptions, Flat] = field(default_factory=PictureOptions)
        written: Annotated[TakeFile, Flat] = field(default_factory=TakeFile)

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.export(
                self.artifact,
                self.to,
                rig=self.rig,
                written=self.written,
                pictures=self.pictures.chosen(),
                seconds=self.pictures.seconds,
                sheet=self.pictures.sheet,
                overwrite=self.overwrite,
                progress=progress,
            )

    return Export
