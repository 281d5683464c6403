"""Windows: which places are read, and what is refused."""

import numpy as np
import pytest

from skgrow.inputs.image_patches import ImagePatches
from skgrow.inputs.regions import resolve_regions, transfer_regions
from skgrow.inputs.windows import ONE_PLACE, Window


def corners(patches):
    """Channel, row and column of the first place of each region."""
    return np.column_stack(
        np.unravel_index(patches.base_columns[:, 0], patches.image_shape)
    )


@pytest.mark.parametrize(
    ("window", "stride", "window_stride"),
    [(6, 2, None), (6, 1, None), (6, 4, 3), (5, 2, 1), (1, 1, 1), (9, 9, 2)],
)
def test_places_are_those_of_loops(window, stride, window_stride):
    shape, size = (2, 11, 13), 3
    patches = ImagePatches(
        shape, size, stride, window=window, window_stride=window_stride
    )
    step, expected = window_stride or window, []
    for top in range(0, 11, step):
        for left in range(0, 13, step):
            if top + window - 1 + size > 11 or left + window - 1 + size > 13:
                continue  # not whole
            for channel in range(2):
                seen = []
                for down in range(0, window, stride):
                    for right in range(0, window, stride):
                        for i in range(size):
                            for j in range(size):
                                at = channel, top + down + i, left + right + j
                                seen.append(np.ravel_multi_index(at, shape))
                expected.append(sorted(seen))
    found = patches.places.seen(patches.base_columns)
    np.testing.assert_array_equal(np.sort(found, axis=1), expected)
    np.testing.assert_array_equal(patches.growth_columns, patches.base_columns)


def test_the_windows_of_the_paper_sized_base():
    patches = ImagePatches((3, 32, 32), 3, window=6, stride=2, pooling="mean")
    assert patches.base_columns.shape == (75, 9)
    assert patches.places.n_places == 9
    assert patches.places.pooling == "mean"


def test_without_a_window_nothing_changes():
    patches = ImagePatches((3, 32, 32), 3, 6)
    assert patches.places is ONE_PLACE
    np.testing.assert_array_equal(patches.base_columns, patches.columns(6))
    np.testing.assert_array_equal(patches.growth_columns, patches.columns(1))


def test_base_and_growth_may_read_different_places():
    one = ImagePatches((1, 8, 8), 3, 5)
    many = ImagePatches((1, 8, 8), 3, 2, window=3, pooling="max")
    found = resolve_regions(one, many, 64, np.random.RandomState(0))
    assert found.base_window == ONE_PLACE
    assert found.growth_window == many.places != ONE_PLACE
    np.testing.assert_array_equal(found.growth, many.growth_columns)
    assert resolve_regions(many, None, 64, None).growth_window == many.places
    assert transfer_regions(many, 9, 64, None).growth_window == many.places
    assert found.fits(64, 9)
    assert not found.fits(63, 9)  # the last place of the last window reads column 63


def test_no_region_sees_no_column():
    none = np.zeros((0, 4), dtype=np.int64)
    assert ONE_PLACE.seen(none).shape == (0, 4)
    assert Window(np.array([0, 1]), "mean").seen(none).shape == (0, 8)


def test_windows_are_compared_by_what_they_do():
    two = np.array([0, 1])
    assert Window(two, "mean") == Window(two.copy(), "mean") != Window(two, "max")
    assert Window(two[:1], "max") == ONE_PLACE
    assert len({Window(two, "mean"), Window(two.copy(), "mean")}) == 1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"window": 7}, r"window=7 is larger than the 6 positions.*at most 6"),
        ({"window": 0}, "window must be a positive integer, got 0"),
        ({"window": 3, "stride": 0}, "stride must be a positive integer, got 0"),
        ({"window": 3, "window_stride": 0}, "window_stride must be a positive"),
        ({"window": 3, "pooling": "median"}, "pooling='median' is not known; use 'mean'"),
        ({"pooling": "mean"}, "pooling='mean' needs a window"),
        ({"window_stride": 2}, "window_stride=2 needs a window"),
        ({"window": 2.0}, "window must be a positive integer, got 2.0"),
    ],
)
def test_bad_windows_say_what_to_do(wrong, match):
    with pytest.raises(ValueError, match=match):
        ImagePatches((1, 8, 9), 3, **{"stride": 1, **wrong})


@pytest.mark.parametrize(
    ("offsets", "answer"),
    [([0], True), ([0, 1, 8], True), ([], False), ([1, 2], False), ([0, 3, 3], False)],
)
def test_a_window_of_a_file_has_each_place_once(offsets, answer):
    """So a small file cannot name more places than the image has."""
    assert Window(np.array(offsets, dtype=np.int64), "mean").fits() is answer
