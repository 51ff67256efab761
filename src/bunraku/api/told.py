"""What many shots are told in common, and how it reaches a worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.matching import Matching, recorded

if TYPE_CHECKING:
    from bunraku.inversion.guidance import Instructions
    from bunraku.inversion.invert import InvertConfig


@dataclass(frozen=True)
class Told:
    """What all shots have in common."""

    rig: str
    cfg: InvertConfig
    controls: tuple[str, ...]
    instructions: Instructions | None
    matching: Matching
    stable: Path | None
    device: str

    def identity(self) -> dict[str, Any]:
        """What every take records of it, and the folder of takes."""
        from bunraku.core import artifact
        from bunraku.core.errors import BunrakuError
        from bunraku.rigs.open import rig_identity

        said = self.instructions
        if said is not None and (said.pins or said.drive is not None):
            what = "pins" if said.pins else "driving curves"
            raise BunrakuError(f"{what} belong to one shot; give them to rig invert")
        return {
            **asdict(self.cfg),
            "rig": rig_identity(self.rig),
            "controls": list(self.controls),
            "instructions": None if said is None else said.recorded(),
            "matching": self.matching.identity(),
            "stable": None if self.stable is None else artifact.file_hash(self.stable),
            "device": self.device,
        }

    def plain(self) -> dict[str, Any]:
        """JSON-able, for a worker."""
        return {
            "rig": self.rig,
            "cfg": asdict(self.cfg),
            "controls": list(self.controls),
            "instructions": None if self.instructions is None else self.instructions.recorded(),
            "matching": self.matching.identity(),
            "stable": None if self.stable is None else str(self.stable),
            "device": self.device,
        }

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Told:
        """What `plain` wrote."""
        from bunraku.inversion.guidance import Instructions
        from bunraku.inversion.invert import InvertConfig

        said = plain["instructions"]
        return Told(
            plain["rig"],
            InvertConfig(**plain["cfg"]),
            tuple(plain["controls"]),
            None if said is None else Instructions.shared(said),
            recorded(plain),
            None if plain["stable"] is None else Path(plain["stable"]),
            plain["device"],
        )
