import pytest

from bunraku.compute.attempt import attempt
from bunraku.core.errors import BunrakuError


def raises(error):
    raise error


def test_what_a_call_returns_is_the_value():
    tried = attempt(divmod, 7, 2)
    assert (tried.value, tried.failure) == ((3, 1), None)


def test_a_failure_is_one_line_that_says_where():
    tried = attempt(raises, ValueError("two\nlines"))
    assert tried.value is None
    assert tried.failure == "ValueError: two lines (test_attempt.py line 8)"


def test_a_users_mistake_keeps_its_own_words():
    assert attempt(raises, BunrakuError("no control 'jaw'")).failure == "no control 'jaw'"


def test_a_rig_that_leaves_has_failed():
    assert "SystemExit" in (attempt(raises, SystemExit(0)).failure or "")


def test_ctrl_c_passes_through():
    with pytest.raises(KeyboardInterrupt):
        attempt(raises, KeyboardInterrupt())
