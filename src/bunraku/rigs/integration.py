"""Where the files are that run inside other programs: beside the package when installed, beside `src` in a checkout."""

from __future__ import annotations

from pathlib import Path


def integration(name: str) -> Path:
    """A file or folder of `integrations/`, by its path there."""
    package = Path(__file__).parents[1]
    places = (package / "integrations", package.parents[1] / "integrations")
    found = next((place / name for place in places if (place / name).exists()), None)
    assert found is not None, f"integrations/{name} is neither in the package nor beside it"
    return found
