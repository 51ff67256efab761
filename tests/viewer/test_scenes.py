"""Scenes in a server without a browser: what their controls do, and what is sent."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import viser

from bunraku.core.playback import Playback
from bunraku.viewer import server as serving
from bunraku.viewer.clip import ClipScene, Mark
from bunraku.viewer.meshes import MeshScene
from bunraku.viewer.panel import escaped, table, text
from bunraku.viewer.rig import RigScene
from bunraku.viewer.run import RunScene
from bunraku.viewer.stage import place_of
from bunraku.viewer.surface import STEPS, AmountSurface, compact, steps_of
from viewer_values import BALL, FACES, HOSTILE, SQUARE, FakeLive, Sheet, a_take


@pytest.fixture(scope="module")
def running() -> Iterator[viser.ViserServer]:
    served = serving.start("a test", serving.ServeConfig(port=0))
    yield served.viser
    served.close()


@pytest.fixture
def server(running: viser.ViserServer) -> viser.ViserServer:
    running.scene.reset()
    running.gui.reset()
    return running


def shown_vertices(server: viser.ViserServer, name: str) -> np.ndarray:
    handle = server.scene.get_handle_by_name(name)
    assert isinstance(handle, viser.MeshHandle)
    return handle.vertices


def test_a_slider_moves_the_mesh(server: viser.ViserServer):
    scene = RigScene(server, Sheet(), "sheet", "y")
    scene.tick(0.0)
    scene.sliders[0].value = 0.5
    scene.tick(0.1)
    place = place_of(SQUARE[None], "y")
    np.testing.assert_allclose(shown_vertices(server, "/rig"), place.put(SQUARE * [1.5, 1, 1]), atol=1e-6)


def test_buttons_pose_the_rig_and_bring_it_back(server: viser.ViserServer):
    scene = RigScene(server, Sheet(), "sheet", "y")
    scene._ask("random")
    scene.tick(0.0)
    values = [slider.value for slider in scene.sliders]
    assert any(values)
    assert np.abs(values).max() <= 1
    scene._ask("neutral")
    scene.tick(0.1)
    assert [slider.value for slider in scene.sliders] == [0.0, 0.0]


def test_an_approximation_stands_beside_its_rig_and_the_difference_is_told(server: viser.ViserServer):
    scene = RigScene(server, Sheet(), "sheet", "y", Sheet(0.5))
    scene.sliders[0].value = 1.0
    scene.tick(0.0)
    # x = 2 and 1.5 at two of the four corners: .5 there, 0 at the others.
    assert "mean difference" in scene._status.content
    assert ">0.25<" in scene._status.content
    assert ">0.5<" in scene._status.content
    assert shown_vertices(server, "/approximation")[:, 0].max() > 0


def test_what_is_looked_for_is_shown(server: viser.ViserServer):
    scene = RigScene(server, Sheet(), "sheet", "y")
    scene._find.value = "DEEP"
    scene.tick(0.0)
    assert [folder.visible for folder, _ in scene._folders] == [False, True]


def test_triangles_are_shared_out_by_their_amounts():
    steps = steps_of(np.array([0.0, 0.05, 0.999, 1.0, 7.0, np.nan]), 1.0)
    assert steps.tolist() == [0, 0, STEPS - 1, STEPS - 1, STEPS - 1, STEPS]
    points, faces = compact(SQUARE, np.array([[1, 3, 2]]))
    assert (points[faces] == SQUARE[[1, 3, 2]]).all()
    assert len(points) == 3


def test_a_surface_of_amounts_shows_every_triangle_once(server: viser.ViserServer):
    surface = AmountSurface(server, "/s", FACES)
    surface.show(SQUARE, np.array([0.0, 0.0, 0.0, 3.0]), 1.0)
    visible = [part for part in surface._parts if part.visible]
    assert sum(len(part.faces) for part in visible) == 2
    assert len(visible) == 2
    surface.show(SQUARE, np.full(4, np.nan), 1.0)
    (missing,) = (part for part in surface._parts if part.visible)
    assert missing is surface._parts[-1]


def test_a_take_is_scrubbed_played_and_jumps_to_its_worst_frames(server: viser.ViserServer):
    scene = MeshScene(server, [a_take()])
    scene.tick(0.0)
    assert "100" in scene._status.content
    scene.scrubber.slider.value = 112
    scene.tick(0.1)
    assert scene.scrubber.row == 12
    assert "0.04138" in scene._status.content  # 12/29 of .1
    scene.scrubber.playing.value = True
    for tick in range(1, 13):
        scene.tick(0.1 + tick / 24)
    assert scene.scrubber.row == pytest.approx(24, abs=1)
    scene.scrubber.show(29)
    scene.tick(0.7)
    assert scene.scrubber.slider.value == 129
    assert not scene.scrubber.playing.value


def test_two_takes_are_told_apart(server: viser.ViserServer):
    scene = MeshScene(server, [a_take(HOSTILE), a_take("second", 0.2)])
    scene.scrubber.slider.value = 129
    scene.tick(0.0)
    assert "<script" not in scene._status.content
    assert "2. second, mean error" in scene._status.content
    assert "0.2" in scene._status.content


def test_a_capture_that_is_gone_leaves_the_mesh(server: viser.ViserServer):
    scene = MeshScene(server, [replace(a_take(), captured=None, frame_error=None)])
    scene.tick(0.0)
    assert "error" not in scene._status.content


def test_marks_are_seen_at_their_joint_in_their_frames_only(server: viser.ViserServer):
    pos = np.tile(np.array([[0, 0, 1.0], [0, 0, 2.0]]), (10, 1, 1))
    quat = np.tile(np.array([1.0, 0, 0, 0]), (10, 2, 1))
    playback = Playback(("root", HOSTILE), np.arange(10) / 30, pos, quat, (BALL, replace(BALL, joint=1)))
    mark = Mark("spike", f"{HOSTILE} leaps", "high", (1,), np.array([4, 5]))
    scene = ClipScene(server, playback, HOSTILE, [mark])
    scene.tick(0.0)
    (spot,) = (spot for _, spot in scene._spots[0])
    assert not spot.visible
    scene.scrubber.show(4)
    scene.tick(0.1)
    assert spot.visible
    np.testing.assert_allclose(spot.position, [0, 0, 2.0])
    assert "here: spike" in scene._status.content
    assert "<script" not in scene._status.content


def test_a_policy_acts_at_its_own_rate_stops_and_steps(server: viser.ViserServer):
    live = FakeLive()
    scene = RunScene(server, live)
    for k in range(31):
        scene.tick(k / 30)
    assert live.steps == pytest.approx(30, abs=1)
    scene._paused.value = True
    before = live.steps
    scene.tick(1.1)
    assert live.steps == before
    scene._count("_steps")
    scene.tick(1.2)
    scene.tick(1.3)
    assert live.steps == before + 1
    assert "0.750" in scene._status.content
    assert "<script" not in scene._status.content
    scene._paused.value, scene._speed.value = False, "2"
    for k in range(31):
        scene.tick(1.3 + k / 30)
    assert live.steps == pytest.approx(before + 61, abs=4)


def test_a_push_goes_where_it_is_told(server: viser.ViserServer):
    live = FakeLive()
    scene = RunScene(server, live)
    scene._direction.value, scene._newtons.value, scene._seconds.value = "left", 150, 0.3
    scene._body.value = "1: left_foot"
    scene._count("_pushes")
    scene.tick(0.0)
    scene.tick(0.01)
    assert live.pushed == [("left_foot", [0.0, 150.0, 0.0], 0.3)]


def test_the_mouse_pulls_like_a_spring_while_it_holds(server: viser.ViserServer):
    live = FakeLive()
    scene = RunScene(server, live)
    scene._pulled[0] = (np.zeros(3), np.array([0.0, 0.1, 0.0]))
    scene._paused.value = True
    scene._count("_steps")
    scene.tick(0.0)
    ((body, force, seconds),) = live.pushed
    assert body == "root"
    assert force == [0.0, 60.0, 0.0]
    assert seconds == pytest.approx(1 / 30)


def test_other_physics_are_refused_unless_they_are_allowed(server: viser.ViserServer):
    live = FakeLive()
    scene = RunScene(server, live)
    scene._substeps.value = 4
    scene.tick(0.0)
    assert live.physics_hz == 240.0
    assert scene._substeps.value == 8
    assert "Refused" in scene._warning.content
    scene._allowed.value = True
    scene._substeps.value = 4
    scene.tick(0.1)
    assert live.physics_hz == 120.0
    assert "Off-limits" in scene._warning.content
    scene._allowed.value = False
    scene.tick(0.2)
    assert live.physics_hz == 240.0


def test_names_are_shown_as_text_whatever_is_in_them():
    assert text("../../etc/passwd") == "../../etc/passwd"
    assert len(text("é" * 10_000)) == 80
    assert text("a\u202eb\nc") == "a b c"
    assert escaped("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert "<script" not in table({HOSTILE: HOSTILE})
