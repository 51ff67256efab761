from bunraku.mimic.paper import paper_figures


def test_figures_belong_to_the_published_clip_on_the_published_character():
    walk = {"path": "/clips/humanoid3d_walk.txt"}
    assert paper_figures("humanoid", walk) == (61.0, 0.985)
    assert paper_figures("robot.xml", walk) is None
    assert paper_figures("humanoid", {"path": "/clips/walk.txt"}) is None
    assert paper_figures("humanoid", {"made": "standing"}) is None
    assert paper_figures("bopbag", None) is None
