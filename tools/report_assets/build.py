"""Makes src/bunraku/report/assets/three.min.js of pinned packages from npm: `make report-assets`.

Needs node and npm. The packages' integrity is checked against what is written here; what comes out is committed, with
its licence and its hash, so that nobody else needs either.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

THREE, ESBUILD = "0.187.0", "0.28.2"
INTEGRITY = "sha512-Qiu7R+Cmh8CstZsY1uJOSWnVlfo7ZtNLV7mF8Jltk3LB3AtDu9cRZlcnRKkAk8Y4z6KKw35z7Y7Urd7jWY8etA=="
"""Of the package three, as npm computes it."""
HERE = Path(__file__).parent
ASSETS = HERE.parents[1] / "src" / "bunraku" / "report" / "assets"


def main() -> None:
    """Install, bundle, note what came out."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "package.json").write_text('{"private": true}')
        packages = [f"three@{THREE}", f"esbuild@{ESBUILD}"]
        _run(["npm", "install", "--no-audit", "--no-fund", "--save-exact", *packages], work)
        lock = json.loads((work / "package-lock.json").read_text())
        found = lock["packages"]["node_modules/three"]["integrity"]
        assert found == INTEGRITY, f"three {THREE} has integrity {found}; expected {INTEGRITY}"
        shutil.copy(HERE / "three.js", work / "entry.js")
        options = ["--bundle", "--minify", "--format=iife", "--global-name=THREE", "--target=es2022"]
        _run(["node_modules/.bin/esbuild", "entry.js", *options, "--legal-comments=inline", "--outfile=out.js"], work)
        made = (work / "out.js").read_bytes()
        (ASSETS / "three.min.js").write_bytes(made)
        shutil.copy(work / "node_modules" / "three" / "LICENSE", ASSETS / "three.LICENSE")
    about = {
        "package": "three",
        "version": THREE,
        "integrity": INTEGRITY,
        "licence": "MIT (three.LICENSE)",
        "bundled_with": f"esbuild {ESBUILD}",
        "bytes": len(made),
        "sha256": hashlib.sha256(made).hexdigest(),
    }
    (ASSETS / "three.json").write_text(json.dumps(about, indent=1) + "\n")
    print(f"three.js {THREE}: {len(made)} bytes")


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
