"""`bunraku clip …`: motion, before anybody is trained on it.

Each function makes its command's class when it is asked for; see `bunraku.cli.rig`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from bunraku.cli.command import Command, Switch
from bunraku.core.progress import Progress

_WIDE = 110  # columns of a terminal from which on problems are a table


def check() -> type[Command]:
    """`bunraku clip check`."""

    @dataclass(frozen=True, kw_only=True)
    class Check(Command):
        """What is wrong with a clip, the worst first, and what mending would do about it. Ends with status 0 whatever
        is found.
        """

        clip: Positional[str]
        """A clip (.npz, .txt or .json of DeepMimic, .bvh, .amc, .pkl of MimicKit, .glb or .gltf), or one made in code:
        standing, squatting, weight_shift, marching, arm_raise."""
        character: str | None = None
        """Also judge it on this character: humanoid, or an MJCF file. Clips on the humanoid's joints are anyway."""
        map: Path | None = None
        """JSON, {joint of the character: joint of the clip}, in place of what their names say."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.check_clip(self.clip, self.character, names_map=self.map)

        def show(self, result: Mapping[str, Any]) -> None:
            fps = f"{result['fps_min']:.1f}" if result["fps_max"] - result["fps_min"] < 0.1 else (
                f"{result['fps_min']:.1f} to {result['fps_max']:.1f}"
            )  # fmt: skip
            kind = "loops" if result["loop"] == "wrap" else "does not loop"
            print(
                f"{result['clip']}: {result['frames']} frames, {result['duration_s']:.2f} s, {fps} frames per second, "
                f"{result['joints']} joints, {kind}" + (f"; on {result['character']}" if result["character"] else "")
            )
            show_carried(result["carried_over"])
            show_problems(result["problems"])

    return Check


def convert() -> type[Command]:
    """`bunraku clip convert`."""

    @dataclass(frozen=True, kw_only=True)
    class Convert(Command):
        """A clip in another format; mended, and carried over to a character's joints, if asked."""

        clip: Positional[str]
        """The clip to read: see `bunraku clip check`."""
        out: Positional[Path]
        """The file to write: .npz, .bvh, .txt or .json (DeepMimic), .pkl (MimicKit), .glb."""
        mend: Switch = False
        """Repair what `clip check` says can be."""
        loop: Literal["wrap", "none"] | None = None
        """Say that the clip loops, or that it does not, before it is mended; without it, what the file says."""
        character: str | None = None
        """Carry the clip over to this character: humanoid, or an MJCF file."""
        map: Path | None = None
        """JSON, {joint of the character: joint of the clip}, in place of what their names say."""
        write_map: Path | None = None
        """Write the map of joints that was used, to be edited and given with --map."""
        overwrite: Switch = False
        """Replace files that are there."""

        def run(self, progress: Progress) -> Mapping[str, Any]:
            from bunraku import api

            return api.convert_clip(
                self.clip,
                self.out,
                mend=self.mend,
                loop=self.loop,
                character=self.character,
                names_map=self.map,
                write_map=self.write_map,
                overwrite=self.overwrite,
            )

        def show(self, result: Mapping[str, Any]) -> None:
            on = f", on {result['character']}" if result["character"] else ""
            print(f"{result['path']}: {result['frames']} frames, {result['duration_s']:.2f} s{on}")
            for note in result["notes"]:
                print(f"  · {note}")
            show_carried(result["carried_over"])
            print("What is left:" if result["problems_left"] else "Nothing is left to complain about.")
            show_problems(result["problems_left"], silent=True)

    return Convert


def show_carried(over: Mapping[str, Any] | None) -> None:
    """How a clip was carried over, in one or two lines."""
    if over is None:
        return
    pairs = ", ".join(f"{target} ← {source}" for target, source in over["map"].items())
    print(f"Carried over (lengths × {over['scale']:.3f}, limbs {over['limb_error_deg']:.2f}° off on average): {pairs}")
    if over["at_rest"]:
        print(f"Driven by nothing, at rest: {', '.join(over['at_rest'])}")


def show_problems(problems: Sequence[Mapping[str, Any]], *, silent: bool = False) -> None:
    """Each problem with what was seen, what that does to a training, and what mending would do; the worst first."""
    from rich.console import Console
    from rich.table import Table

    if not problems:
        if not silent:
            print("Nothing is wrong with it.")
        return
    console = Console(highlight=False, markup=False)
    if console.width < _WIDE:
        for each in problems:
            print(f"{each['severity']:6}  {str(each['kind']).replace('_', ' ')} [{each['where']}]: {each['says']}")
            print(f"        means:  {each['means']}")
            print(f"        --mend: {each['mends'] or 'leaves it'}")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True)
    for name, ratio in (("", None), ("problem", None), ("what is seen", 3), ("what it means for training", 2)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("--mend", ratio=2, overflow="fold")
    for each in problems:
        seen = f"{each['says']} [{each['where']}]"
        kind = str(each["kind"]).replace("_", " ")
        table.add_row(each["severity"], kind, seen, each["means"], each["mends"] or "leaves it")
    console.print(table)
