"""Pages of the reference as Markdown, read from signatures and docstrings; nothing is imported for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe


def reference(source: Path, listed: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Title, place and text of a page for each entry; without `names` all that its module makes public."""
    package = griffe.load("bunraku", search_paths=[str(source)], docstring_parser="google", resolve_aliases=True)
    pages = []
    for entry in listed:
        module = package[entry["module"].removeprefix("bunraku").lstrip(".")] if "." in entry["module"] else package
        names = entry.get("names") or _public(module)
        text = entry.get("text") or (module.docstring.value if module.docstring else "")
        parts = [f"# {entry['title']}", escaped(text), *(described(module[name]) for name in names)]
        place = re.sub(r"[^a-z]+", "-", entry["title"].lower())
        pages.append((entry["title"], f"reference/{place}.md", "\n\n".join(parts) + "\n"))
    return pages


def _public(module: griffe.Module) -> list[str]:
    """What a module offers: its `__all__`, else what it imports under its own name."""
    names = module.exports or [name for name, member in module.members.items() if member.is_alias]
    return sorted(str(name) for name in names)


def described(thing: griffe.Object | griffe.Alias) -> str:
    """A function or class: where it is, how it is called, what it says of itself."""
    target = thing.final_target if isinstance(thing, griffe.Alias) else thing
    head = f"## {target.name}"
    where = f"`{target.path}`"
    if isinstance(target, griffe.Function):
        return "\n\n".join([head, where, _code(signature(target)), *_said(target)])
    assert isinstance(target, griffe.Class), target.path
    return "\n\n".join([head, where, *_said(target), *_fields(target), *_methods(target)])


def signature(function: griffe.Function) -> str:
    """How a function is called, a line for each parameter."""
    parts, starred = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        kind = parameter.kind.value if parameter.kind else ""
        if kind == "keyword-only" and not starred:
            parts.append("*")
            starred = True
        starred |= kind == "variadic positional"
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        written = f"{stars}{parameter.name}"
        if parameter.annotation is not None:
            written += f": {parameter.annotation}"
        if parameter.default is not None and not stars:
            written += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        parts.append(written)
    returns = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{function.name}({', '.join(parts)}){returns}"
    if len(line) <= 88:
        return line
    return f"{function.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _said(thing: griffe.Object) -> list[str]:
    if thing.docstring is None:
        return []
    parts = []
    for section in thing.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            parts.append(escaped(str(section.value)))
        elif section.kind is griffe.DocstringSectionKind.raises:
            for raised in section.value:
                parts.append(f"Raises `{raised.annotation}`: {escaped(_line(raised.description))}")
        else:
            parts.append(escaped(_line(str(thing.docstring.value))))
            break
    return parts


def _fields(thing: griffe.Class) -> list[str]:
    """Annotated attributes as a table."""
    rows = []
    for name, member in thing.members.items():
        if name.startswith("_") or not isinstance(member, griffe.Attribute) or member.annotation is None:
            continue
        said = escaped(_line(member.docstring.value)) if member.docstring else ""
        default = f"`{_cell(str(member.value))}`" if member.value is not None else ""
        rows.append(f"| `{name}` | `{_cell(str(member.annotation))}` | {default} | {_cell(said)} |")
    return ["\n".join(["| field | type | default | |", "|---|---|---|---|", *rows])] if rows else []


def _methods(thing: griffe.Class) -> list[str]:
    parts = []
    for name, member in thing.members.items():
        if name.startswith("_") or not isinstance(member, griffe.Function | griffe.Attribute):
            continue
        if isinstance(member, griffe.Function):
            parts += [f"### {thing.name}.{name}", _code(signature(member)), *_said(member)]
        elif "property" in member.labels:
            parts += [f"### {thing.name}.{name}", _code(f"{name}: {member.annotation}"), *_said(member)]
    return parts


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def escaped(text: str) -> str:
    """Text of a docstring, in which only `code` and paragraphs are markup."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>#])", r"\\\1", part) for part in parts)
