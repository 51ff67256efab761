"""What every test shares: shapes checked at run time, and the third-party data."""

import os
import signal
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from browser import chromium as chromium
from browser import look as look

# Before any test imports bunraku: every annotated shape and type is then checked on every call.
install_import_hook("bunraku", "typechecks.checked")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA_ADVICE = "set BUNRAKU_DATA to the folder of third-party test data (rigs/, sequences/, clips/, bodies/)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for `data_dir`, so that `-m "not data"` leaves it out."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of third-party data; without it the test skips, or fails where BUNRAKU_REQUIRE_DATA=1."""
    named = os.environ.get("BUNRAKU_DATA", "")
    if named and Path(named).is_dir():
        return Path(named)
    problem = f"BUNRAKU_DATA={named}: no such folder" if named else "BUNRAKU_DATA is not set"
    if os.environ.get("BUNRAKU_REQUIRE_DATA") == "1":
        pytest.fail(f"{problem}; {DATA_ADVICE}")
    pytest.skip(f"{problem}; {DATA_ADVICE}")


@pytest.fixture(scope="session")
def blender() -> str:
    """A Blender's version; without one the test skips, or fails where BUNRAKU_REQUIRE_BLENDER=1."""
    from bunraku.core.errors import BunrakuError
    from bunraku.rigs.blender_program import blender_version, find_blender

    try:
        return blender_version(find_blender())
    except BunrakuError as error:
        if os.environ.get("BUNRAKU_REQUIRE_BLENDER") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
