"""Which input columns each branch sees."""

import numpy as np
import pytest

from skgrow.inputs import regions as regions_module
from skgrow.inputs.image_patches import ImagePatches
from skgrow.inputs.regions import resolve_regions, transfer_regions


def resolve(regions, n_features, grow_regions=None, seed=0):
    random_state = np.random.RandomState(seed)
    return resolve_regions(regions, grow_regions, n_features, random_state)


@pytest.mark.parametrize(
    ("image_shape", "stride", "n_patches"),
    [
        ((3, 32, 32), 6, 75),  # the paper's base network
        ((3, 32, 32), 3, 300),  # its full perception
        ((3, 32, 32), 1, 2700),  # its candidates
        ((1, 28, 28), 3, 81),
        ((1, 28, 28), 1, 676),
    ],
)
def test_patch_counts_of_the_paper(image_shape, stride, n_patches):
    patches = ImagePatches(image_shape, patch_size=3, stride=stride)
    resolved = resolve(patches, int(np.prod(image_shape)))
    assert resolved.base.shape == (n_patches, 9)
    assert resolved.growth.shape == ImagePatches(image_shape).columns(1).shape
    assert resolved.shared_scale


def test_patches_hold_the_pixels_of_one_square():
    image_shape, side = (2, 5, 7), 3
    image = np.arange(2 * 5 * 7).reshape(image_shape)
    expected = [
        image[channel, top : top + side, left : left + side].ravel()
        for top in range(0, 5 - side + 1, 2)
        for left in range(0, 7 - side + 1, 2)
        for channel in range(2)
    ]
    columns = ImagePatches(image_shape, side).columns(2)
    np.testing.assert_array_equal(columns, expected)


def test_patch_as_large_as_the_image():
    columns = ImagePatches((1, 4, 4), patch_size=4).columns(1)
    np.testing.assert_array_equal(columns, [np.arange(16)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((32, 32),), r"\(32, 32\).*A grey image is \(1, height, width\)"),
        (((3, 0, 32),), r"three positive integers.*\(3, 0, 32\)"),
        (((3, 32.0, 32),), r"three positive integers"),
        (((3, 32, 32), 0), r"patch_size must be a positive integer, got 0"),
        (((3, 32, 32), 3, -1), r"stride must be a positive integer, got -1"),
        (((3, 32, 32), 3, True), r"stride must be a positive integer, got True"),
        (((1, 5, 8), 6), r"patch_size=6 does not fit.*5 x 8.*at most 5"),
    ],
)
def test_bad_patches(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImagePatches(*arguments)


def test_image_shape_must_multiply_to_the_columns():
    message = r"1 \* 8 \* 8 = 64 columns, but X has 63"
    with pytest.raises(ValueError, match=message):
        resolve(ImagePatches((1, 8, 8)), 63)


def test_features():
    resolved = resolve("features", 3)
    np.testing.assert_array_equal(resolved.base, [[0], [1], [2]])
    np.testing.assert_array_equal(resolved.growth, [[0], [1], [2]])
    assert not resolved.shared_scale


def test_pairs_grow_over_all_ordered_pairs():
    resolved = resolve("pairs", 3)
    np.testing.assert_array_equal(resolved.base, [[0, 1], [0, 2], [1, 2]])
    ordered = {(a, b) for a in range(3) for b in range(3) if a != b}
    assert {tuple(pair) for pair in resolved.growth.tolist()} == ordered


@pytest.mark.parametrize(
    ("n_features", "base"),
    [
        (1, [[0]]),
        (2, [[0, 0], [1, 1], [0, 1]]),
        (3, [[0, 0], [1, 1], [2, 2], [0, 1], [1, 2], [2, 0]]),
    ],
)
def test_auto_is_every_column_and_a_ring_of_pairs(n_features, base):
    np.testing.assert_array_equal(resolve("auto", n_features).base, base)


def test_auto_grows_over_pairs_unless_there_is_one_column():
    assert resolve("auto", 4).growth.shape == (12, 2)
    assert resolve("auto", 1).growth.shape == (1, 1)


def test_many_pairs_are_sampled(monkeypatch):
    monkeypatch.setattr(regions_module, "MAX_GROWTH_REGIONS", 50)
    growth = resolve("pairs", 12).growth
    assert 0 < len(growth) <= 50
    assert growth.min() >= 0
    assert growth.max() <= 11
    assert (growth[:, 0] != growth[:, 1]).all()
    assert len(np.unique(growth, axis=0)) == len(growth)
    np.testing.assert_array_equal(growth, resolve("pairs", 12).growth)
    assert growth.tolist() != resolve("pairs", 12, seed=1).growth.tolist()


def test_index_lists_are_taken_as_they_are():
    resolved = resolve([[4, 0], [1, 1]], 5, grow_regions=np.array([[3, 2]]))
    np.testing.assert_array_equal(resolved.base, [[4, 0], [1, 1]])
    np.testing.assert_array_equal(resolved.growth, [[3, 2]])
    assert resolved.base.dtype == np.int64


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ("paris", r"'paris' is not known; use 'auto', 'features', 'pairs'"),
        (7, r"regions=7 is neither"),
        ([], r"empty list; give at least one"),
        ([[0, 1], [2]], r"one equal, positive length, got lengths \[1, 2\]"),
        ([[]], r"positive length, got lengths \[0\]"),
        ([[[0, 1]]], r"index lists"),
        ([[0.0, 1.0]], r"whole column numbers, got dtype float64"),
        ([[True, False]], r"whole column numbers, got dtype bool"),
        ([[0, 5]], r"column 5, but X has 5 columns \(0 to 4\)"),
        ([[-1, 2]], r"column -1, but X has 5 columns \(0 to 4\)"),
    ],
)
@pytest.mark.parametrize("which", ["regions", "grow_regions"])
def test_bad_regions(regions, message, which):
    base, growth = (regions, None) if which == "regions" else ([[0, 1]], regions)
    with pytest.raises(ValueError, match=message):
        resolve(base, 5, grow_regions=growth)


def test_pairs_of_one_column():
    message = r'at least 2 columns, X has 1; use regions="features"'
    with pytest.raises(ValueError, match=message):
        resolve("pairs", 1)


def test_growth_regions_must_have_the_size_of_the_base():
    with pytest.raises(ValueError, match=r"grow_regions have 1 columns each.*have 2"):
        resolve("pairs", 4, grow_regions="features")


def test_columns_of_a_table_are_read_in_both_directions():
    pairs, triples = [[0, 1], [2, 3]], [[0, 1, 2]]
    assert resolve(pairs, 4).signs.tolist() == [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    assert resolve("features", 4).signs.tolist() == [[1], [-1]]
    assert resolve(triples, 4).signs.shape == (8, 3)
    for regions in ([[0, 1, 2, 3]], ImagePatches((1, 2, 2), patch_size=1, stride=1)):
        signs = resolve(regions, 4).signs
        assert (len(signs), set(signs.ravel())) == (1, {1})


def test_pairs_of_very_many_columns_are_refused_with_their_number():
    message = (
        r"each of the 1,999,000 pairs of 2,000 columns.*at most; use regions=\"auto\""
    )
    with pytest.raises(ValueError, match=message):
        resolve("pairs", 2000)
    assert resolve("pairs", 316).base.shape == (49_770, 2)


def test_where_growth_may_look_is_drawn_of_very_many_pairs():
    limit = regions_module.MAX_GROWTH_REGIONS
    assert len(resolve("auto", 2000, grow_regions="pairs").growth) <= limit
    found = transfer_regions("pairs", 2, 2000, np.random.RandomState(0))
    assert 0.9 * limit < len(found.growth) <= limit
    assert (found.growth < 2000).all()
