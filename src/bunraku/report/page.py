"""One HTML file that holds everything: values, arrays, program and style. Nothing in it can be taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from bunraku.core import artifact
from bunraku.core.colours import CAPTURED, MISSING, RAMP, SOLVED
from bunraku.report.packing import packed
from bunraku.report.run import RunReport, run_part
from bunraku.report.take import TakeReport, take_part

FILE = "report.html"
_SCRIPTS = ("three.min.js", "text.js", "unpack.js", "chart.js", "stage.js", "take.js", "run.js", "tables.js", "page.js")
_STYLE = "report.css"


@dataclass(frozen=True)
class Table:
    """Rows with a title, and what is to be said of them."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    about: str = ""


@dataclass(frozen=True)
class Tables:
    """A part of a page that is tables alone."""

    name: str
    verdict: str
    tables: Sequence[Table]


Part = TakeReport | RunReport | Tables


def write_report(report: Part | Sequence[Part], path: Path, title: str | None = None) -> int:
    """Write a page of one part or several; returns its size in bytes.

    Raises:
        BunrakuError: the file cannot be written.
    """
    parts = [report] if isinstance(report, (TakeReport, RunReport, Tables)) else list(report)
    text = page(parts, title or parts[0].name).encode()
    artifact.write_bytes(path, text)
    return len(text)


def page(parts: Sequence[Part], title: str) -> str:
    """The page as text."""
    values, arrays = list[dict[str, Any]](), dict[str, Any]()
    for number, part in enumerate(parts):
        told, own = _told(part)
        values.append(told)
        arrays |= {f"{number}:{name}": array for name, array in own.items()}
    found = packed(arrays)
    colours = {"ramp": RAMP.tolist(), "missing": MISSING, "captured": CAPTURED, "solved": SOLVED}
    document = {"title": title, "parts": values, "index": found.index, "colours": colours}
    program, style = _assets()
    policy = (
        f"default-src 'none'; script-src {_source(program)}; style-src {_source(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(_sound(title[:200]))}</title>\n"
        f"<style>{style}</style></head>\n"
        '<body><main id="page"><noscript>This report needs JavaScript; it asks no network for anything.</noscript>'
        "</main>\n"
        f'<script type="application/json" id="values">{embedded(document)}</script>\n'
        f'<script type="text/plain" id="arrays">{found.text}</script>\n'
        f"<script>{program}</script>\n"
        "</body></html>\n"
    )


def _told(part: Part) -> tuple[dict[str, Any], Mapping[str, Any]]:
    if isinstance(part, TakeReport):
        return take_part(part)
    if isinstance(part, RunReport):
        return run_part(part)
    tables = [
        {"title": table.title, "rows": [dict(row) for row in table.rows], "about": table.about} for table in part.tables
    ]
    return {"kind": "tables", "name": part.name, "said": {"verdict": part.verdict}, "tables": tables, "notes": []}, {}


def embedded(value: Any) -> str:
    """JSON that no HTML parser and no JavaScript parser can take for anything else."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate (a file name that is not UTF-8) has no bytes to be written as.
    return re.sub("[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _sound(text: str) -> str:
    """A lone surrogate (a file name that is not UTF-8) has no bytes to be written as."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any) -> Any:
    """Numbers that are not finite become null; anything else that JSON does not know, its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)


@cache
def _assets() -> tuple[str, str]:
    """The program and the style, as they stand in the page."""
    folder = resources.files("bunraku.report") / "assets"
    library, *own = (folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    licence = folder.joinpath("three.LICENSE").read_text("utf-8")
    program = "\n".join([f"/* three.js\n{licence}*/", library, '(() => {\n"use strict";', *own, "})();"])
    assert not any(mark in program.lower() for mark in ("</script", "<!--")), "it would end its own element"
    return program, folder.joinpath(_STYLE).read_text("utf-8")


def _source(text: str) -> str:
    """What a content security policy calls an inline element: the hash of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
