# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the Blender add-on together: python build_addon.py [FILE.zip]. Needs Python's standard library alone."""

import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE / "addon"
# Beside `src` in a checkout, in the package where it is installed.
PACKAGE = next(
    place for place in (HERE.parents[1] / "src" / "bunraku", HERE.parents[1]) if (place / "host.py").is_file()
)
NAME = "bunraku_addon"
DATED = (1980, 1, 1, 0, 0, 0)


def files():
    """What is in the archive: its path there, and where it is here."""
    found = {f"{NAME}/{path.name}": path for path in sorted((ROOT / NAME).iterdir()) if path.is_file()}
    found[f"{NAME}/LICENSE"] = HERE / "LICENSE"
    bundled = f"{NAME}/bundled"
    found |= {
        f"{bundled}/bunraku_blender/{path.name}": path for path in sorted((HERE / "bunraku_blender").glob("*.py"))
    }
    found[f"{bundled}/bunraku_host.py"] = PACKAGE / "host.py"
    found[f"{bundled}/bunraku_player.py"] = PACKAGE / "player.py"
    return found


def version():
    """The add-on's, as its manifest has it."""
    return re.search(r'^version = "(.+)"$', (ROOT / NAME / "blender_manifest.toml").read_text("utf-8"), re.MULTILINE)[1]


def build(to):
    """Write the archive: the same bytes for the same files."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files().items():
            about = zipfile.ZipInfo(name, DATED)
            about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(about, path.read_bytes())
    return to


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else f"dist/bunraku-blender-{version()}.zip")))
