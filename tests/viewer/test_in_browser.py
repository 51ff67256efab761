"""The viewer's page in a real browser: what is moved there moves here, and what is shown is text."""

import threading
import time

import pytest

from bunraku.viewer import server as serving
from bunraku.viewer.meshes import MeshScene
from bunraku.viewer.rig import RigScene
from bunraku.viewer.run import RunScene
from viewer_values import HOSTILE, FakeLive, Sheet, a_take

PATIENCE_S = 60.0
EXPECTED = "THREE.Clock"
"""What viser's own page is warned of."""


@pytest.fixture
def shown(look):
    """Serves a scene that is alive, and opens it: `shown(make)` gives the scene and the page."""
    stop, running = threading.Event(), []

    def show(make):
        served = serving.start(f"{HOSTILE}", serving.ServeConfig(port=0))
        scene = make(served.viser)
        thread = threading.Thread(target=serving.run, args=(scene, stop.is_set), daemon=True)
        thread.start()
        running.append((served, thread))
        sight = look(served.url, width=1000, height=700)
        sight.page.set_default_timeout(1000 * PATIENCE_S)
        sight.page.wait_for_selector("canvas")
        until(lambda: served.viser.get_clients())
        sight.base = served.url
        return scene, sight

    yield show
    stop.set()
    for served, thread in running:
        thread.join(5)
        served.close()


def until(condition, *, most_s: float = PATIENCE_S):
    """Wait for something to become true, and say what it was when it does not."""
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


def waited(sight, condition):
    """The same, while the page may go on."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        sight.page.wait_for_timeout(50)


def picture(sight) -> bytes:
    return sight.page.screenshot(clip={"x": 0, "y": 200, "width": 660, "height": 500}, timeout=1000 * PATIENCE_S)


def is_clean(sight) -> None:
    """Nothing went wrong, nothing was asked of others, nothing foreign ran."""
    assert [each for each in sight.complaints if EXPECTED not in each] == []
    assert [url for url in sight.requests if not url.startswith(sight.base.rstrip("/"))] == []
    assert sight.page.evaluate("window.harmed") is None


def test_a_slider_in_the_page_moves_the_rig_and_hostile_names_are_text(shown):
    scene, sight = shown(lambda server: RigScene(server, Sheet(), HOSTILE, "y"))
    waited(sight, lambda: "rig" in sight.page.inner_text("body") and "deep" in sight.page.inner_text("body"))
    assert "<script>window.harmed" in sight.page.inner_text("body")
    sight.page.wait_for_timeout(1500)
    before = picture(sight)
    sight.page.get_by_role("slider").first.press("End")
    waited(sight, lambda: scene.sliders[0].value == 1.0)
    waited(sight, lambda: picture(sight) != before)
    sight.shot("viewer rig")
    is_clean(sight)


def test_a_take_is_scrubbed_in_the_page_and_its_figures_follow(shown):
    scene, sight = shown(lambda server: MeshScene(server, [a_take(HOSTILE)]))
    waited(sight, lambda: "mean error" in sight.page.inner_text("body"))
    sight.page.wait_for_timeout(1500)
    before = picture(sight)
    sight.page.get_by_role("slider").first.press("End")
    waited(sight, lambda: scene.scrubber.row == 29)
    waited(sight, lambda: "1.208 s" in sight.page.inner_text("body"))
    assert "0.1" in sight.page.inner_text("body")
    waited(sight, lambda: picture(sight) != before)
    sight.page.get_by_role("button", name="frame 126").click()
    waited(sight, lambda: scene.scrubber.row == 26)
    sight.shot("viewer take")
    is_clean(sight)


def test_a_policy_is_stopped_and_pushed_from_the_page(shown):
    live = FakeLive()
    scene, sight = shown(lambda server: RunScene(server, live))
    waited(sight, lambda: live.steps > 5)
    sight.page.get_by_label("pause").first.click()
    waited(sight, lambda: scene._paused.value)
    before = live.steps
    sight.page.get_by_role("button", name="one step").click()
    waited(sight, lambda: live.steps == before + 1)
    sight.page.get_by_role("button", name="push", exact=True).click()
    waited(sight, lambda: live.pushed)
    assert live.pushed[0] == ("root", [200.0, 0.0, 0.0], 0.2)
    sight.shot("viewer run")
    is_clean(sight)
