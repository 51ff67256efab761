"""What every benchmark shares: a table on standard output and a JSON file with all that is needed to repeat it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bunraku.core.artifact import provenance

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as aligned columns, numbers to three digits."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_text(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def record(name: str, config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    """Write benchmarks/results/NAME.json: configuration (with seeds), rows, versions, commit, hardware, date."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    stamp = time.strftime("%Y-%m-%d")
    made_by = {**provenance(), "code": code()}
    content = {"benchmark": name, "date": stamp, "config": config, "rows": rows, **more, "provenance": made_by}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")
    return path


def merged(
    name: str, found: Iterable[dict[str, Any]], key: Sequence[str], config: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows found here, and those of the file that stands there that other machines or sittings measured.

    Rows are the same that agree in `key`. With `config`, a file of another configuration gives none.
    """
    file = RESULTS / f"{name}.json"
    rows = list(found)
    here = {tuple(row[word] for word in key) for row in rows}
    before: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"rows": [], "config": config}
    if config is not None and before["config"] != config:
        return rows
    return rows + [row for row in before["rows"] if tuple(row[word] for word in key) not in here]


def code() -> dict[str, Any] | None:
    """The commit, and which files of src and benchmarks differ from it; nothing outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git("status", "--porcelain", "--", "src", "benchmarks/*.py") or ""
    return {"commit": commit.strip(), "changed": [line[3:] for line in changed.splitlines()]}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
