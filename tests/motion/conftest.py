"""The humanoid of these tests."""

import pytest

from small_bodies import body


@pytest.fixture(scope="session")
def humanoid():
    return body()
