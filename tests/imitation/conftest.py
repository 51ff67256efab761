import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    """As the training loop does: a second thread slows small nets down on a busy machine."""
    from bunraku.compute.threads import one_thread

    with one_thread():
        yield
