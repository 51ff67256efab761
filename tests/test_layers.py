"""Who may import whom: the rule of docs/architecture.md, held for every import in the package, inside functions too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "bunraku"
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "core": set(),
    "formats": {"core"},
    "compute": {"core"},
    "rigs": {"core", "formats", "compute", "host"},
    "host": set(),
    "motion": {"core"},
    "inversion": {"core", "compute"},
    "imitation": {"core", "compute", "motion"},
    "report": {"core"},
    "viewer": {"core"},
    "api": {"core", "formats", "compute", "rigs", "motion", "inversion", "imitation", "mimic", "report", "viewer"},
    "mimic": {"core", "formats", "compute", "rigs", "motion", "imitation", "player", "report", "host"},
    "player": set(),
    "demo": {"core", "api", "mimic", "formats", "compute", "rigs", "inversion", "report"},
    "cli": {"core", "api", "mimic", "demo", "formats", "compute", "rigs", "inversion", "imitation", "report", "viewer"},
    "": {"core", "api"},
}
"""By folder or top-level file; every layer may import itself, and "" is the package's own `__init__`."""

PIPELINES = {
    "inversion": (
        *("align", "sample", "dataset", "approximation", "fit", "terms", "solve", "refine", "active"),
        *("encoder", "simplify", "account", "evaluate", "invert"),
    ),
    "motion": (
        *("pose", "problem", "names", "axes", "timing", "limits", "ground"),
        *("check", "mend", "retarget", "carry", "plan", "procedural"),
    ),
    "imitation": (
        *("character", "reference", "simulation", "observations", "rewards", "terminations", "environment"),
        *("policy", "rollout", "ppo", "awr", "evaluate", "train", "play", "render"),
    ),
}
"""Stages in their order; other files of the folder serve stages."""

HOMES = {
    "mujoco": "imitation/",
    "bpy": "nowhere in the package",
    "ray": "compute/",
    "viser": "viewer/",
    "PIL": "report/",
    "imageio_ffmpeg": "report/",
    "onnx": "formats/onnx.py",
    "pxr": "formats/",
    "alembic3d": "formats/alembic.py",
    "tyro": "cli/",
    "rich": "cli/",
}
"""Heavy or replaceable dependencies live in one place."""


def imports(file: Path) -> set[str]:
    """The dotted names of all modules that a file imports; `from a import b` counts as a.b where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {node.module if _is_module(node.module) else f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _is_module(dotted: str) -> bool:
    parts = dotted.split(".")
    return parts[0] != "bunraku" or (PACKAGE.joinpath(*parts[1:]).with_suffix(".py").is_file() and len(parts) > 1)


def layer(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def module(file: Path) -> str:
    return ".".join(["bunraku", *file.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_file_imports_only_layers_below_it(file):
    own = layer(module(file))
    for name in imports(file):
        if name.split(".")[0] == "bunraku" and layer(name) not in {own, "__version__"}:
            assert layer(name) in MAY_IMPORT[own], f"{module(file)} imports {name}"


@pytest.mark.parametrize("folder", PIPELINES)
def test_inside_a_pipeline_a_file_imports_only_earlier_stages(folder):
    order = PIPELINES[folder]
    prefix = f"bunraku.{folder}."
    files = {file.stem: file for file in (PACKAGE / folder).glob("*.py")}
    direct = {stem: {n.split(".")[2] for n in imports(file) if n.startswith(prefix)} for stem, file in files.items()}

    def reached(stem: str, seen: set[str]) -> set[str]:
        """The stages that a file imports, also by way of files that are none."""
        for name in direct[stem] - seen:
            seen.add(name)
            if name not in order:
                reached(name, seen)
        return seen

    for stem in direct.keys() & set(order):
        late = [stage for stage in order[order.index(stem) + 1 :] if stage in reached(stem, set())]
        assert not late, f"{folder}/{stem}.py imports {', '.join(late)}"


@pytest.mark.parametrize("file", FILES, ids=module)
def test_heavy_dependencies_have_one_home(file):
    for name in {name.split(".")[0] for name in imports(file)} & HOMES.keys():
        place = file.relative_to(PACKAGE).as_posix()
        assert place.startswith(HOMES[name]), f"{place} imports {name}; its home is {HOMES[name]}"


@pytest.mark.parametrize("name", ["bunraku", "bunraku.cli.main"])
def test_importing_the_package_loads_nothing_heavy(name):
    heavy = ["torch", "scipy", "pygltflib", "mujoco", "pxr", "safetensors", "tyro", "rich"]
    program = f"import sys, {name}; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_every_folder_has_its_place_in_the_rule():
    assert {layer(module(file)) for file in FILES} <= MAY_IMPORT.keys()
