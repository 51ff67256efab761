"""What a run keeps of its task: the character and the clip, so that it plays when the originals have changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bunraku.core.clip import Clip
    from bunraku.imitation.character import Character

CHARACTER = "character"
CLIP = "clip.npz"


def keep(out: Path, character: Character, clip: Clip | None) -> None:
    """Copy them into the run, unless they are there."""
    from bunraku.formats.clip import save_clip
    from bunraku.imitation.character import export_character

    (out / CHARACTER).mkdir(exist_ok=True)
    if not (out / CHARACTER / "character.xml").exists():
        export_character(character, out / CHARACTER / "character.xml")
    if clip is not None and not (out / CLIP).exists():
        save_clip(out / CLIP, clip)
