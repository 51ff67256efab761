"""The page as text; tests/report/test_in_browser.py opens it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from bunraku.core.errors import BunrakuError
from bunraku.report.page import Table, Tables, embedded, page, write_report
from report_values import run_report, take_report

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> ../../etc \u2028 \x00 & \"'"
ASSETS = resources.files("bunraku.report") / "assets"


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", [HOSTILE, "\ud800 lone", "x" * 10_000])
def test_no_name_becomes_markup(name):
    text = page([take_report((name, "b", "c"), name=name, rig=name), run_report(name=name, character=name)], name)
    tags = [tag for tag, _ in Elements(text).found]
    head = ["html", "head", *["meta"] * 4, "title", "style"]
    assert tags == [*head, "body", "main", "noscript", "script", "script", "script"]
    text.encode()


def test_embedded_json_has_no_character_that_a_parser_knows_and_reads_back():
    value = {"a": [HOSTILE, 1.5, None, float("nan")], "b": {"c": True}}
    text = embedded(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": [HOSTILE, 1.5, None, None], "b": {"c": True}}


def test_the_policy_allows_what_is_in_the_page_and_no_network():
    text = page([take_report()], "one")
    elements = Elements(text)
    policy = next(a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for tag in ("script", "style"):
        (raw,) = re.findall(f"<{tag}>(.*)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(raw.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"\bsrc=|\bhref=", re.sub(r"<script>.*", "", text, flags=re.DOTALL))


def test_the_library_is_the_one_that_was_bundled():
    about = json.loads(ASSETS.joinpath("three.json").read_text("utf-8"))
    library = ASSETS.joinpath("three.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == about["sha256"]
    assert len(library) == about["bytes"]
    assert "three.js authors" in ASSETS.joinpath("three.LICENSE").read_text("utf-8")


def test_no_program_of_ours_writes_markup_or_asks_a_network():
    for file in ASSETS.iterdir():
        if file.name.endswith(".js") and file.name != "three.min.js":
            source = file.read_text("utf-8")
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "http"):
                assert word not in source, f"{file.name} uses {word}"


def test_a_page_is_written_whole_and_its_size_told(tmp_path):
    tables = Tables("overview", "All is well.", [Table("Rows", [{"a": 1}], "of one")])
    size = write_report([tables, run_report()], tmp_path / "page.html", "Two parts")
    assert (tmp_path / "page.html").stat().st_size == size
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(BunrakuError, match="cannot be written"):
        write_report(tables, tmp_path / "nowhere" / "page.html")
