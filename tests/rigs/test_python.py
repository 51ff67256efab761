import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from bunraku.core.controls import control_spec
from bunraku.core.errors import BunrakuError
from bunraku.rigs.python import open_python_rig


@pytest.fixture
def written(tmp_path, monkeypatch, request):
    """Writes a module of a name of its own, and returns what opens a function of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    count = iter(range(100))

    def write(text, function="rig"):
        name = f"written_{abs(hash(request.node.name))}_{next(count)}"
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + textwrap.dedent(text))
        return open_python_rig(f"python:{name}:{function}")

    return write


BATCH = """
    def rig(c):
        return np.stack([np.stack([c[:, 0], c[:, 1] * 2, c[:, 0] * 0], 1), np.stack([c[:, 1]] * 3, 1)], 1)
"""
SINGLE = """
    def rig(c):
        a, b = c
        return [[a, 2 * b, 0], [b, b, b]]
"""
POSES = np.array([[0.5, 2.0], [1.0, 0.0], [0.25, -1.0]])
MESHES = np.array([[[a, 2 * b, 0], [b, b, b]] for a, b in POSES])


@pytest.mark.parametrize(("code", "batched"), [(BATCH, True), (SINGLE, False)])
def test_functions_of_batches_and_of_single_poses_are_told_apart(written, code, batched):
    rig = written(code + '\n    rig.controls = ["a", "b"]')
    assert rig.batched is batched
    np.testing.assert_array_equal(rig.evaluate(POSES), MESHES)
    np.testing.assert_array_equal(rig.evaluate(POSES[:1]), MESHES[:1])
    assert rig.evaluate(POSES[:0]).shape == (0, 2, 3)
    assert rig.spec.names == ("a", "b")
    assert rig.file is not None


def test_controls_may_say_everything_about_themselves(written):
    rig = written(
        SINGLE
        + """
    controls = [
        {"name": "jaw.rx", "lower": -1, "upper": 2, "neutral": 0.5, "unit": "rad"},
        {"name": "auto", "driven": True},
    ]
    faces = [[0, 1, 0]]
    neutral = [[0.5, 0, 0], [0, 0, 0]]
    """
    )
    spec = rig.spec
    assert (spec.names, spec.units, spec.driven.tolist()) == (("jaw.rx", "auto"), ("rad", "1"), [False, True])
    assert (spec.lower.tolist(), spec.upper.tolist(), spec.neutral.tolist()) == ([-1, 0], [2, 1], [0.5, 0])
    assert rig.faces.tolist() == [[0, 1, 0]]
    np.testing.assert_array_equal(rig.neutral, [[0.5, 0, 0], [0, 0, 0]])


def test_a_functions_own_word_wins_over_its_modules(written):
    rig = written(SINGLE + '\n    controls = ["x"]\n    rig.controls = ["a", "b"]')
    assert rig.spec.names == ("a", "b")


def test_a_ready_made_spec_and_rotations_are_taken(written):
    rig = written("def rig(c):\n    return c[:, None, :3]\ncontrols = ['x', 'y', 'z']\nrotations = [('x', 'y', 'z')]")
    assert rig.spec.rotations.tolist() == [[0, 1, 2]]
    code = (
        SINGLE + "\n    from bunraku.core.controls import control_spec\n    controls = control_spec(['p', 'q'], -5, 5)"
    )
    assert written(code).spec.upper.tolist() == control_spec(["p", "q"], -5, 5).upper.tolist()


def test_the_argument_may_be_written_to(written):
    rig = written("controls = ['a']\ndef rig(c):\n    c *= 2\n    return [[c[0], 0, 0]]")
    poses = np.array([[1.0], [2.0]])
    rig.evaluate(poses)
    assert poses.tolist() == [[1], [2]]
    assert rig.spec.neutral.tolist() == [0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (SINGLE, r"does not say what its controls are; add rig\.controls = "),
        (SINGLE + "\n    controls = 'ab'", "controls is a str; expected a list"),
        (SINGLE + "\n    controls = ['a', 3]", "3 is neither a name nor a dict"),
        (SINGLE + "\n    controls = ['a', {'name': 'b', 'max': 3}]", "no field 'max'.* may have: name, lower"),
        (SINGLE + "\n    controls = ['a', {'name': 'b', 'lower': 'low'}]", "'b': lower is 'low'; expected a number"),
        (SINGLE + "\n    controls = ['a', {'name': 'b', 'lower': 3}]", "'b': lower 3 is above upper 1"),
        (SINGLE + "\n    controls = ['a', 'a']", "'a' is named twice"),
        (SINGLE + "\n    controls = []", "at least one control"),
        (SINGLE + "\n    controls = ['a', 'b']\n    rotations = [('a', 'b', 'c')]", "is not three names"),
        (SINGLE + "\n    controls = ['a', 'b']\n    neutral = [[0, 0, 1], [0, 0, 0]]", "neutral is 1 away"),
        (SINGLE + "\n    controls = ['a', 'b']\n    neutral = [[0, 0, 1]]", r"neutral has shape \(1, 3\)"),
        (SINGLE + "\n    controls = ['a', 'b']\n    faces = [[0, 1, 7]]", "a face names vertex 7; there are 2"),
        (SINGLE + "\n    controls = ['a', 'b']\n    faces = [[0, 1, .5]]", "faces is not an array of whole numbers"),
        ("controls = ['a']\ndef rig(c):\n    return c", r"must return .* returned shape \(2, 1\)"),
        ("controls = ['a']\ndef rig(c):\n    raise KeyError('bone')", r"KeyError: 'bone' \(written_.* line 4\)"),
        ("controls = ['a']\ndef rig():\n    pass", "takes 0 positional arguments"),
        ("controls = ['a']\ndef rig(c):\n    return 'text'", "ValueError"),
        ("controls = ['a']\ndef rig(c):\n    raise SystemExit", "SystemExit"),
        ("def other(c): pass\ndef _hidden(c): pass\nrig = 3", "no function 'rig'; written_.* has: other"),
        ("1 / 0", "importing written_.* failed: ZeroDivisionError"),
        ("import no_such_thing", "importing written_.* failed: ModuleNotFoundError: No module named 'no_such_thing'"),
    ],
)
def test_mistakes_are_told_in_one_line(written, code, said):
    with pytest.raises(BunrakuError, match=said) as caught:
        written(code)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("python:written_") <= 2


@pytest.mark.parametrize("source", ["python:", "python:a", "python:a:", "module:function"])
def test_the_form_of_the_name_is_told(source):
    with pytest.raises(BunrakuError, match="expected python:module:function"):
        open_python_rig(source)


@pytest.mark.parametrize("name", ["no_such_module", "no_such.module", "os.no_such"])
def test_a_module_that_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(BunrakuError, match=r"no module '(no_such|os\.no_such)"):
        open_python_rig(f"python:{name}:rig")


def test_what_goes_wrong_later_is_told_in_one_line(written):
    rig = written("controls = ['a']\ndef rig(c):\n    return [[c[0], 0, 0]] * (1 if c[0] < .5 else 2)")
    with pytest.raises(BunrakuError, match=r"returned shape \(2, 3\) for controls \(1,\); expected \(1, 3\)"):
        rig.evaluate(np.array([[0.1], [0.9]]))


def test_modules_of_the_current_folder_are_found_without_its_being_on_the_path(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rigs.py").write_text("controls = ['a']\ndef rig(c):\n    return [[c[0], 0, 0]]")
    script = "from bunraku.rigs.python import open_python_rig as o; print(o('python:mine.rigs:rig').spec.names)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "('a',)\n"
