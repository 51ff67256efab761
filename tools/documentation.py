"""The documentation as a site that opens from disk: `make docs`, or

    python tools/documentation.py [--out build/site]

Pages are those that tools/documentation.toml names, the examples (a page for each: its docstring, then its code) and a
reference that is read from the docstrings without importing anything. All of it is gathered in a folder, links between
pages are turned to where the pages are there, and Zensical makes the site. What is wrong ends it: a link or an anchor
that leads nowhere, a page of docs/ that the list leaves out, a page that would ask a network for something.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
PICTURES = "docs/pictures"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
SETTINGS = """\
[project]
site_name = "Bunraku"
site_description = "Captured motion into editable control curves, and into physically simulated skills"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
copyright = "Apache-2.0; what runs inside Blender GPL-3.0-or-later"
extra_css = ["style.css"]
nav = {nav}

[project.theme]
font = false
features = ["navigation.sections", "navigation.top", "content.code.copy", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme)"
toggle.icon = "lucide/sun-moon"
toggle.name = "Light"

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "As the system"

[project.extra]
generator = false

[project.markdown_extensions.attr_list]
[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.pymdownx.superfences]
"""
STYLE = """\
.md-typeset table:not([class]) { font-size: .64rem; }
.md-typeset img { border-radius: 4px; }
"""


class DocumentationError(Exception):
    """Something that a page says is not so."""


@dataclass(frozen=True)
class Page:
    """A page of the site."""

    title: str
    """As it stands in the list of pages."""
    place: str
    """Its file, from the folder of all pages."""
    text: str
    """Markdown."""
    source: Path
    """The file it comes from, which its links are relative to."""


def main() -> None:
    """Build the site, or say what is wrong and end with status 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="the folder of the site")
    out = parser.parse_args().out
    try:
        build(out)
    except DocumentationError as wrong:
        sys.exit(f"documentation: {wrong}")
    print(f"Open {out / 'index.html'}")


def build(out: Path) -> None:
    """Make the site in the folder `out`, which is replaced."""
    from bunraku_reference import reference

    listed = tomllib.loads(LIST.read_text("utf-8"))
    read = reference(ROOT / "src", listed["reference"])
    sections = [(section["title"], list(_pages(section["pages"], read))) for section in listed["section"]]
    pages = [page for _, section in sections for page in section]
    _all_there(pages)
    with tempfile.TemporaryDirectory(prefix="bunraku-docs-") as folder:
        work = Path(folder)
        places = {page.source: page.place for page in pages}
        for page in pages:
            file = work / "pages" / page.place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(relinked(page, places), "utf-8")
        if (ROOT / PICTURES).is_dir():
            shutil.copytree(ROOT / PICTURES, work / "pages" / "pictures")
        (work / "pages" / "style.css").write_text(STYLE, "utf-8")
        (work / "zensical.toml").write_text(SETTINGS.format(nav=_nav(sections)), "utf-8")
        _zensical(work)
        asked = [f"{name} asks for {address}" for name, address in asked_for(work / "site")]
        if asked:
            raise DocumentationError("; ".join(asked))
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(work / "site", out)


def _zensical(work: Path) -> None:
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).split("Traceback", 1)[0]
        raise DocumentationError(f"the site cannot be built:\n{said.strip()}")


def _pages(entries: list[list[str]], reference: list[tuple[str, str, str]]) -> Iterator[Page]:
    for path, title in entries:
        if path == "examples":
            yield from examples()
        elif path == "reference":
            for name, place, text in reference:
                yield Page(name, place, text, ROOT / place)
        else:
            source = ROOT / path
            if not source.is_file():
                raise DocumentationError(f"{LIST.name} lists {path}, which is not there")
            yield Page(title, _place(path), source.read_text("utf-8"), source)


def _place(path: str) -> str:
    """Where a file of the repository is among the pages."""
    if path == "README.md":
        return "index.md"
    known = Path(path)
    if known.name == "README.md":
        return f"{known.parent.name}.md"
    return known.name.lower()


def examples() -> list[Page]:
    """A page for each example: what it says of itself, then its code."""
    made = []
    for file in sorted((ROOT / "examples").glob("[0-9]*.py")):
        text = file.read_text("utf-8")
        said = ast.get_docstring(ast.parse(text))
        if not said:
            raise DocumentationError(f"examples/{file.name} has no docstring")
        first, _, rest = said.partition("\n")
        code = text.split('"""', 2)[2].strip()
        number, title = int(file.name.split("_")[0]), first.rstrip(".")
        page = f'# {title}\n\n{rest.strip()}\n\n```python title="examples/{file.name}"\n{code}\n```\n'
        made.append(Page(f"{number}. {title}", f"examples/{file.stem}.md", page, file))
    return made


def _all_there(pages: list[Page]) -> None:
    places = [page.place for page in pages]
    twice = sorted({place for place in places if places.count(place) > 1})
    if twice:
        raise DocumentationError(f"two pages would be {', '.join(twice)}")
    listed = {page.source for page in pages}
    left_out = [f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md")) if file not in listed]
    if left_out:
        raise DocumentationError(f"{LIST.relative_to(ROOT)} leaves out {', '.join(left_out)}")


def relinked(page: Page, places: dict[Path, str]) -> str:
    """A page's text with links that lead to pages where they are in the site.

    Files of the repository that are no pages lose their link and keep their text.

    Raises:
        DocumentationError: a link to what is not there.
    """

    def turned(link: re.Match[str]) -> str:
        shown, text, target = link.groups()
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not path:
            return link[0]
        source = (page.source.parent / path).resolve()
        if source in places:
            place = places[source]
        elif source.is_relative_to(ROOT / PICTURES) and source.is_file():
            place = f"pictures/{source.relative_to(ROOT / PICTURES)}"
        elif source.exists() and source.is_relative_to(ROOT) and not shown:
            return text
        else:
            raise DocumentationError(f"{page.source.relative_to(ROOT)} links to {target}, which is not there")
        up = "../" * page.place.count("/")
        return f"{shown}[{text}]({up}{place}{'#' + anchor if anchor else ''})"

    lines, fenced = [], False
    for line in _joined(page.text).splitlines():
        fenced ^= bool(FENCE.match(line))
        lines.append(line if fenced else LINK.sub(turned, line))
    return "\n".join(lines) + "\n"


def _joined(text: str) -> str:
    """The text with links whose words a line break parts put onto one line."""
    return re.sub(r"\[[^\]\n]*\n[^\]\n]*\]\([^)\s]+\)", lambda link: link[0].replace("\n", " "), text)


def asked_for(site: Path) -> Iterator[tuple[str, str]]:
    """What the pages of a site would fetch from elsewhere: scripts, styles, fonts, pictures."""
    wanted = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)="((?:https?:)?//[^"]+)"')
    for file in sorted(site.rglob("*.html")):
        for found in wanted.finditer(file.read_text("utf-8")):
            if 'rel="canonical"' not in found[0]:
                yield str(file.relative_to(site)), found[1]


def _nav(sections: list[tuple[str, list[Page]]]) -> str:
    """The list of pages as TOML."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    parts = []
    for title, pages in sections:
        entries = ", ".join(f"{{ {quoted(page.title)} = {quoted(page.place)} }}" for page in pages)
        parts.append(f"{{ {quoted(title)} = [{entries}] }}")
    return "[\n  " + ",\n  ".join(parts) + ",\n]"


if __name__ == "__main__":
    main()
