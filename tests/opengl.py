"""Tests that draw need an OpenGL library; without one they skip, or fail where BUNRAKU_REQUIRE_GL=1."""

import os

import pytest

from bunraku.core.errors import BunrakuError


def needed() -> None:
    from bunraku.imitation.screen import open_context

    try:
        open_context(16, 16).free()
    except BunrakuError as error:
        if os.environ.get("BUNRAKU_REQUIRE_GL") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
