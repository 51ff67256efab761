"""The documentation: what is promised of its pages, and what ends its making."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def documentation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import documentation

    yield documentation
    for name in ("documentation", "bunraku_reference"):
        sys.modules.pop(name, None)


def page(documentation, text, source=ROOT / "docs" / "rigs.md"):
    return documentation.Page("Rigs", "rigs.md", text, source)


def test_the_site_is_built_without_a_complaint_and_asks_no_network(documentation, tmp_path):
    documentation.build(tmp_path / "site")
    written = {str(file.relative_to(tmp_path / "site")) for file in tmp_path.rglob("*.html")}
    assert {f"{file.stem}.html" for file in (ROOT / "docs").glob("*.md")} <= written
    assert {f"examples/{file.stem}.html" for file in (ROOT / "examples").glob("[0-9]*.py")} <= written
    shown = (tmp_path / "site" / "reference" / "bunraku.html").read_text("utf-8")
    public = [node.names[0].asname for node in ast.parse((ROOT / "src/bunraku/__init__.py").read_text()).body[1:-1]]
    assert [name for name in public if f'id="{name.lower()}"' not in shown] == []


def test_a_link_to_what_is_not_there_ends_it(documentation):
    with pytest.raises(documentation.DocumentationError, match=r"docs/rigs\.md links to gone\.md"):
        documentation.relinked(page(documentation, "see [it](gone.md)"), {})


def test_a_picture_that_is_not_there_ends_it(documentation):
    with pytest.raises(documentation.DocumentationError, match=r"pictures/gone\.png"):
        documentation.relinked(page(documentation, "![it](pictures/gone.png)"), {})


def test_links_lead_to_where_pages_are_and_code_is_left_alone(documentation):
    text = "[a](data.md#b) [c](../LICENSE) [here](#there) [out](https://example.org)\n```\n[d](gone.md)\n```"
    places = {ROOT / "docs" / "data.md": "data.md"}
    deep = documentation.Page("Rigs", "deep/rigs.md", text, ROOT / "docs" / "rigs.md")
    expected = "[a](../data.md#b) c [here](#there) [out](https://example.org)\n```\n[d](gone.md)\n```\n"
    assert documentation.relinked(deep, places) == expected


def test_a_page_that_the_list_leaves_out_ends_it(documentation):
    with pytest.raises(documentation.DocumentationError, match=r"leaves out .*docs/rigs\.md"):
        documentation._all_there([])


def test_what_a_page_would_fetch_is_found(documentation, tmp_path):
    (tmp_path / "a.html").write_text('<a href="https://a.org"></a><script src="https://b.org/x.js"></script>')
    assert list(documentation.asked_for(tmp_path)) == [("a.html", "https://b.org/x.js")]


def test_docstrings_are_text_in_which_only_code_is_markup():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from bunraku_reference import escaped
    finally:
        sys.path.remove(str(ROOT / "tools"))
    assert escaped("speed [m] of `a[0]`, <b> x*y") == r"speed \[m\] of `a[0]`, \<b\> x\*y"


def test_the_readme_names_every_command():
    from bunraku.cli.main import COMMANDS

    commands = [" ".join(words) for words in COMMANDS]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [command for command in commands if f"bunraku {command}" not in readme and command != "demo"] == []


def test_pictures_are_small_and_all_are_shown():
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert [file.name for file in pictures if file.stat().st_size > 300_000] == []
    assert sum(file.stat().st_size for file in pictures) < 2_000_000
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "examples").glob("*.py")]
    shown = "".join(file.read_text("utf-8") for file in pages)
    assert [file.name for file in pictures if f"pictures/{file.name}" not in shown] == []
