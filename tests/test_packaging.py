"""The wheel and the sdist build, and the wheel runs outside the checkout."""

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A folder with the wheel's content, for PYTHONPATH."""
    target = tmp_path_factory.mktemp("site")
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    return target


def run_elsewhere(installed, folder, *arguments):
    """Run Python in a folder outside the checkout, with the installed package first on its path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_version_of_the_distribution_is_that_of_the_package(built):
    import bunraku

    names = sorted(file.name for file in built.iterdir())
    assert names == [f"bunraku-{bunraku.__version__}-py3-none-any.whl", f"bunraku-{bunraku.__version__}.tar.gz"]


def test_the_sdist_holds_tests_documentation_and_licences_and_nothing_built(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = "LICENSE NOTICE README.md CHANGELOG.md CONTRIBUTING.md Makefile constraints.txt pyproject.toml .ci/run"
    assert set(wanted.split()) <= names
    assert {"tests/test_packaging.py", "tests/core/test_rotations.py", "docs/architecture.md"} <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "out/", "demo/")) or name.endswith(".pyc")]


def test_the_wheel_holds_the_package_its_types_and_its_licences_only(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "bunraku/py.typed" in names
    assert {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bunraku"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    imported = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    modules = {re.match(r"[\w-]+", requirement)[0].replace("-", "_") for requirement in declared}
    named = {"pillow": "PIL", "pyopengl": "OpenGL", "imageio_ffmpeg": "imageio_ffmpeg"}
    modules = {named.get(module, module) for module in modules}
    # Extras: the one module that needs each says so where it is missing. MuJoCo loads PyOpenGL, and viser websockets.
    extras, carried = {"onnx", "pxr", "alembic3d"}, {"websockets"}
    assert imported - set(sys.stdlib_module_names) - {"bunraku"} - extras - carried == modules - {"OpenGL"}


def test_the_installed_command_runs_outside_the_checkout(installed, tmp_path):
    where = run_elsewhere(installed, tmp_path, "-c", "import bunraku; print(bunraku.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(installed), where.stderr
    done = run_elsewhere(installed, tmp_path, "-m", "bunraku.cli.main", "--help")
    assert done.returncode == 0, done.stderr
    assert "rig invert" in done.stdout
    assert done.stderr == ""
    assert (installed / "bin" / "bunraku").is_file()


def test_the_installed_command_describes_a_rig(installed, tmp_path):
    done = run_elsewhere(installed, tmp_path, "-m", "bunraku.cli.main", "rig", "describe", "cube", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["vertices"] == 8
