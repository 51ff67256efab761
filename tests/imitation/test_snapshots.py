"""What environments keep so that they can go on."""

import numpy as np
import pytest

from bunraku.core.errors import BunrakuError
from bunraku.imitation.snapshots import check_fits, packed, unpacked


def test_a_generator_goes_on_from_its_bytes_which_are_always_as_many():
    generator = np.random.default_rng(3)
    generator.normal(size=7)
    kept = packed(generator)
    assert packed(np.random.default_rng(0)).shape == kept.shape
    expected = generator.normal(size=5)
    assert (unpacked(kept).normal(size=5) == expected).all()


def test_a_snapshot_that_lacks_something_or_is_of_another_size_is_refused_by_name():
    mine = {"steps": np.zeros(3), "states": np.zeros((3, 2))}
    check_fits({**mine, "more": np.zeros(1)}, mine, "bag")
    with pytest.raises(BunrakuError, match="another environment: states does not fit bag"):
        check_fits({"steps": np.zeros(3)}, mine, "bag")
    with pytest.raises(BunrakuError, match="another environment: steps does not fit bag"):
        check_fits({**mine, "steps": np.zeros(4)}, mine, "bag")
