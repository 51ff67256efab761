"""The public names, as the README uses them."""

import numpy as np

import bunraku as bk


def test_five_lines_from_a_capture_to_curves(tmp_path):
    poses = 0.5 + 0.3 * np.sin(np.linspace(0, 3, 8)[:, None] + np.arange(6))
    np.savez(tmp_path / "shot.npz", vertices=bk.open_rig("cube").evaluate(poses), fps=24)
    rig = bk.open_rig("cube")
    take = bk.invert(tmp_path / "shot.npz", rig)
    bk.save_curves(take.curves, tmp_path / "shot.csv")
    back = bk.load_curves(tmp_path / "shot.csv")
    assert back.names == rig.spec.names
    np.testing.assert_allclose(rig.evaluate(back.values), rig.evaluate(poses), atol=1e-6)


def test_every_public_name_tells_what_it_does():
    public = [value for value in vars(bk).values() if getattr(value, "__module__", "").startswith("bunraku")]
    assert bk.invert in public
    for value in public:
        assert value.__doc__, value
