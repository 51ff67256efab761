"""What the paper's table says of its clips (Peng et al. 2018, DeepMimic, table 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAPER = {
    "backflip": (72.0, 0.729),
    "cartwheel": (51.0, 0.804),
    "crawl": (68.0, 0.932),
    "dance_a": (67.0, 0.863),
    "dance_b": (79.0, 0.822),
    "getup_facedown": (49.0, 0.885),
    "getup_faceup": (66.0, 0.838),
    "jump": (86.0, 0.947),
    "kick": (50.0, 0.854),
    "punch": (60.0, 0.812),
    "roll": (81.0, 0.735),
    "run": (53.0, 0.951),
    "spin": (191.0, 0.664),
    "spinkick": (67.0, 0.748),
    "walk": (61.0, 0.985),
}
"""Million samples and return."""
_PREFIX = "humanoid3d_"


def paper_figures(character: str, clip: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Million samples and return of the clip that a run keeps the identity of; None for a clip that is not the paper's,
    by its published file's name, or another character."""
    name = Path(str((clip or {}).get("path", ""))).stem
    return PAPER.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) and character == "humanoid" else None
