"""Reports opened from disk in a real browser."""

import numpy as np
import pytest

from bunraku.report.page import Table, Tables, write_report
from report_values import FRAMES, WORST, meshes, run_report, take_report

HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>"


@pytest.fixture
def opened(look, tmp_path):
    """Writes parts and opens the page."""

    def show(parts, title="A report", **how):
        file = tmp_path / "report.html"
        write_report(parts, file, title)
        sight = look(file, **how)
        sight.page.wait_for_selector("html[data-ready]")
        return sight

    return show


def picture(sight) -> bytes:
    """What the stage shows once it has been drawn."""
    sight.page.evaluate("window.report.part.stage.draw()")
    return sight.page.locator("canvas.stage").screenshot()


def fits(sight) -> bool:
    """Nothing makes the page wider than the window."""
    return sight.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_take_plays_and_its_values_are_those_that_went_in(opened):
    sight = opened(take_report())
    part = "window.report.part"
    solved, captured = meshes()
    assert sight.page.evaluate(f"{part}.transport.frame") == WORST
    error = np.array(sight.page.evaluate(f"Array.from({part}.error)"))
    expected = np.linalg.norm(captured[WORST] - solved[WORST], axis=1)
    expected[5] = -1
    assert error == pytest.approx(expected, rel=0.06, abs=2e-3)
    drawn = np.array(sight.page.evaluate(f"Array.from({part}.rig.positions)")).reshape(-1, 3)
    assert np.linalg.norm(drawn - solved[WORST], axis=1).max() < 2e-3
    before = picture(sight)
    slider = sight.page.locator("input[type=range]")
    slider.fill("3")
    assert sight.page.evaluate(f"{part}.transport.frame") == 3
    assert sight.page.locator(".counter").inner_text().startswith("103 / 123")
    assert "frame 103" in sight.page.locator(".readout").first.inner_text()
    assert picture(sight) != before
    sight.shot("take desktop", whole=True)
    assert sight.complaints == []
    assert sight.requests == []


def test_keys_buttons_and_links_move_it(opened):
    sight = opened(take_report())
    frame = "window.report.part.transport.frame"
    keys = sight.page.keyboard
    keys.press("Home")
    keys.press("ArrowRight")
    keys.press("Shift+ArrowRight")
    assert sight.page.evaluate(frame) == 11
    keys.press("End")
    assert sight.page.evaluate(frame) == FRAMES - 1
    keys.press("w")
    assert sight.page.evaluate(frame) == WORST
    keys.press("Home")
    sight.page.get_by_role("button", name=str(100 + WORST), exact=True).first.click()
    assert sight.page.evaluate(frame) == WORST
    both = picture(sight)
    sight.page.get_by_role("button", name="Overlay").click()
    assert picture(sight) != both
    keys.press("v")
    assert sight.page.evaluate("window.report.part.mode") == "capture"
    sight.page.get_by_role("button", name="Rig only").click()
    coloured = picture(sight)
    sight.page.get_by_role("button", name="No colour").click()
    assert picture(sight) != coloured
    sight.page.locator(".chart:not(.slim) canvas").first.click(position={"x": 300, "y": 60})
    assert sight.page.evaluate(frame) not in (WORST, 0)
    keys.press("Home")
    keys.press("Space")
    # Not wait_for_function, which evaluates a string in the page: its policy forbids that.
    for _ in range(100):
        sight.page.wait_for_timeout(50)
        if sight.page.evaluate(frame) > 2:
            break
    assert sight.page.evaluate(frame) > 2
    keys.press("Space")
    assert sight.page.evaluate("window.report.part.transport.playing") is False
    keys.press("?")
    assert sight.page.get_by_role("dialog").is_visible()
    keys.press("Escape")
    assert not sight.page.get_by_role("dialog").is_visible()
    assert sight.complaints == []


@pytest.mark.parametrize(
    "name",
    [HOSTILE, "../" * 40, "\U0001f9d1\u200d\U0001f3a8\u202eأهلا" * 900 + "x" * 5000],
    ids=["markup", "path", "long"],
)
def test_a_hostile_name_is_text_and_the_page_stays_whole(opened, name):
    report = take_report(
        (name, "b", name + "2"), name=name, rig=name, capture=name, notes=(name,), settings={name: name}
    )
    sight = opened([report, run_report(name=name, character=name, notes=(name,))], name, width=390, height=800)
    sight.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert fits(sight)
    assert sight.page.locator("h1 .name").inner_text() == name.strip()
    sight.page.get_by_role("tab").nth(1).click()
    assert fits(sight)
    assert sight.page.evaluate("window.harmed") is None
    assert sight.page.locator("main img").count() == 0
    assert sight.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, True)])
def test_it_is_readable_on_a_phone_and_in_the_dark(opened, width, dark):
    sight = opened([take_report(), run_report()], width=width, height=800, dark=dark)
    assert fits(sight)
    page, ink = sight.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    light = [sum(map(int, colour[4:-1].split(", "))) for colour in (page, ink)]
    assert (light[0] < light[1]) is dark
    sight.shot(f"take {width} {'dark' if dark else 'light'}", whole=True)
    sight.page.get_by_role("tab").nth(1).click()
    assert fits(sight)
    sight.shot(f"run {width} {'dark' if dark else 'light'}", whole=True)
    assert sight.complaints == []


def test_a_run_plays_over_its_ghost_and_tells_how_it_learnt(opened):
    sight = opened(run_report())
    before = picture(sight)
    sight.page.locator("input[type=range]").fill("29")
    assert picture(sight) != before
    assert "mean distance 0.3 m" in sight.page.locator(".readout").first.inner_text()
    assert sight.page.locator(".verdict").inner_text().startswith("The policy reaches 0.910")
    sight.page.get_by_role("button", name="By time").click()
    sight.page.keyboard.press("w")
    assert sight.page.evaluate("window.report.part.transport.frame") == 29
    sight.shot("run desktop", whole=True)
    assert sight.complaints == []


def test_parts_are_tabs_and_a_take_without_meshes_shows_the_rest(opened):
    tables = Tables("overview", "All is well.", [Table("Rows", [{"way": "a", "error": 0.5}], "of one")])
    bare = take_report(film=None, spec=None, frame_max=None, keys=None, notes=("The rig is gone.",))
    sight = opened([tables, bare])
    assert sight.page.get_by_role("cell", name="0.5").is_visible()
    sight.page.get_by_role("tab").nth(1).click()
    assert sight.page.get_by_text("The rig is gone.").is_visible()
    assert sight.page.locator("canvas.stage").count() == 0
    sight.page.keyboard.press("ArrowRight")
    assert sight.page.locator(".card").count() == 3
    assert sight.complaints == []
