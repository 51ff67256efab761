"""Takes made editable: few keys in place of a value at every frame."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunraku.api.doors import load_take, loaded_model, open_rig, rig_source
from bunraku.core.progress import Progress, silent

if TYPE_CHECKING:
    from bunraku.core.rig import Rig
    from bunraku.core.take import Take
    from bunraku.inversion.simplify import SimplifyConfig

KEYS_JSON, KEYS_CSV = "keys.json", "keys.csv"


def simplify(
    take: Path,
    cfg: SimplifyConfig | None = None,
    *,
    rig: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """A take's curves as keys, `keys.json` and `keys.csv`, in the take's folder or in `out`; a finished result is
    repeated.

    Raises:
        BunrakuError: no take, a rig that cannot be opened, keys that were made with other settings.
    """
    from bunraku.compute.threads import one_thread
    from bunraku.core import artifact
    from bunraku.core.errors import BunrakuError
    from bunraku.formats.keys_csv import save_csv_keys
    from bunraku.formats.keys_json import read_json_keys, save_json_keys
    from bunraku.inversion.simplify import SimplifyConfig
    from bunraku.inversion.simplify import simplify as simplified
    from bunraku.rigs.open import rig_identity

    cfg = cfg or SimplifyConfig()
    stored = load_take(take)
    source = rig_source(stored.settings, rig, take)
    folder = out or take
    if folder.exists() and not folder.is_dir():
        raise BunrakuError(f"{folder}: is a file; the folder for {KEYS_JSON} and {KEYS_CSV} is expected")
    settings = {**asdict(cfg), "rig": rig_identity(source), "curves": artifact.array_hash(stored.curves.values)}
    if (folder / KEYS_JSON).exists() and not overwrite:
        there = read_json_keys(folder / KEYS_JSON)
        if there.get("settings") == settings and isinstance(there.get("result"), dict):
            return dict(there["result"])
        raise BunrakuError(f"{folder / KEYS_JSON}: was made with other settings; --overwrite replaces it")
    opened = _measurable(open_rig(source), stored, take)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    with one_thread():
        found = simplified(opened, stored.curves, cfg, progress=progress)
    spent = {"cpu_seconds": time.process_time() - began_cpu_s, "wall_seconds": time.perf_counter() - began_s}
    with artifact.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    result = {"path": str(folder / KEYS_JSON), **found.metrics.values, **spent}
    save_csv_keys(folder / KEYS_CSV, found.keys)
    save_json_keys(folder / KEYS_JSON, found.keys, {"settings": settings, "result": result})
    return result


def _measurable(rig: Rig, stored: Take, take: Path) -> Rig:
    """The rig, or the model that the take was solved on where recorded samples cannot be asked for new poses."""
    from bunraku.rigs.recorded import RecordedRig

    if not isinstance(rig, RecordedRig):
        return rig
    given = stored.settings.get("model")
    return loaded_model(Path(given["path"]) if given else take / "model")
