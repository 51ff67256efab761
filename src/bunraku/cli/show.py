"""Results on standard output: strict JSON for programs, tables for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def strict_json(value: Any) -> str:
    """One line of JSON as its standard has it: what is not a finite number becomes null."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    # numpy scalars and arrays, without importing numpy here
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def print_values(values: Mapping[str, Any]) -> None:
    """Name and value, one pair a line; a list of mappings becomes a table of its own."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False, markup=False)
    grid = Table.grid(padding=(0, 2))
    tables: dict[str, Sequence[Mapping[str, Any]]] = {}
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            tables[name] = value
        else:
            grid.add_row(name, _text(value))
    for name, rows in tables.items():
        print_rows(name, rows)
    console.print(grid)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a column for each key of the first row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for key in rows[0]:
        number = isinstance(rows[0][key], (int, float)) and not isinstance(rows[0][key], bool)
        table.add_column(key, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(key)) for key in rows[0]))
    Console(highlight=False, markup=False).print(table)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value) or "none"
    return str(value)
