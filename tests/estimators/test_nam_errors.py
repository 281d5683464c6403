"""Bad input: an error that names the value and the cure, and an unchanged model."""

import copy
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    GrowthStoppedWarning,
    ImagePatches,
)
from skgrow.inputs.labelled_rows import labelled_rows

N_ROWS, N_FEATURES = 600, 4


def table():
    """Columns 0 and 2 tell the classes apart together; column 3 is noise."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(N_ROWS, N_FEATURES))
    return X, (X[:, 0] * X[:, 2] > 0).astype(int) + 10


X, Y = table()


def small_nam(**parameters):
    small = {
        "curves": False,  # they would leave nothing for growth to find
        "hidden_layer_sizes": (6, 6),
        "matching": "exhaustive",
        "max_iter": 10,
        "learning_rate_init": 0.02,
        "n_verified": 100,
        "round_size": 5,
        "random_state": 0,
    }
    return GrowingNAMClassifier(**{**small, **parameters})


@pytest.fixture(scope="module")
def fitted():
    nam = small_nam().fit(X, Y).grow(X, Y, 5)
    assert nam.n_branches_ == 5
    return nam


def changed(array, value):
    array = array.copy()
    array[17, 2] = value
    return array


def labels_with(value):
    y = Y.astype(type(value)) if isinstance(value, str) else Y.copy()
    y[33] = value
    return y


INF = changed(X, np.inf)
NEGATIVE = np.where(np.arange(N_ROWS) == 5, -1.0, 1.0)
# The second is ours, for a scikit-learn that does not ask.
ALL_ZERO = r"Sample weights must contain at least one non-zero|one row must have a pos"
COLUMNS = r"X has 3 features, but GrowingNAMClassifier is expecting 4 features"
HAS_INF = r"Input X contains infinity or a value too large for dtype\('float64'\)"

# name: (what to do with a fitted model, what the message says)
BAD_DATA = {
    "grow: columns": (lambda nam: nam.grow(X[:, :3], Y, 5), COLUMNS),
    "predict: columns": (lambda nam: nam.predict(X[:, :3]), COLUMNS),
    "predict_proba: columns": (lambda nam: nam.predict_proba(X[:, :3]), COLUMNS),
    "partial_fit: columns": (lambda nam: nam.partial_fit(X[:, :3], Y), COLUMNS),
    "fit: infinity": (lambda nam: nam.fit(INF, Y), HAS_INF),
    "grow: infinity": (lambda nam: nam.grow(INF, Y, 5), HAS_INF),
    "partial_fit: infinity": (lambda nam: nam.partial_fit(INF, Y), HAS_INF),
    "predict: infinity": (lambda nam: nam.predict(INF), HAS_INF),
    "grow: unseen label": (
        lambda nam: nam.grow(X, labels_with(77), 5),
        r"not seen in fit: \[77\]; the classes are \[10, 11\]\. Fit again with all",
    ),
    "partial_fit: unseen label": (
        lambda nam: nam.partial_fit(X, labels_with(77)),
        r"not seen in fit: \[77\]; the classes are \[10, 11\]\. Fit again with all",
    ),
    "grow: numbers as strings": (
        lambda nam: nam.grow(X, Y.astype(str), 5),
        r"y holds labels of dtype <U21, but the classes .* int64; pass labels of one",
    ),
    "fit: one class": (
        lambda nam: nam.fit(X, np.full(N_ROWS, 10)),
        r"number of classes has to be greater than one; got 1 class: .*10",
    ),
    "fit: one class with weight": (
        lambda nam: nam.fit(X, Y, sample_weight=(Y == 11).astype(float)),
        r"Rows of more than one class must have a positive weight; all are of .*11",
    ),
    "fit: continuous labels": (
        lambda nam: nam.fit(X, X[:, 0]),
        r"Unknown label type: continuous",
    ),
    "fit: rows of y": (
        lambda nam: nam.fit(X, Y[:-1]),
        r"inconsistent numbers of samples: \[600, 599\]",
    ),
    "fit: negative weight": (
        lambda nam: nam.fit(X, Y, sample_weight=NEGATIVE),
        r"Negative values in data passed to `sample_weight`",
    ),
    "grow: negative weight": (
        lambda nam: nam.grow(X, Y, 5, sample_weight=NEGATIVE),
        r"Negative values in data passed to `sample_weight`",
    ),
    "fit: all weights zero": (
        lambda nam: nam.fit(X, Y, sample_weight=np.zeros(N_ROWS)),
        ALL_ZERO,
    ),
    "grow: all weights zero": (
        lambda nam: nam.grow(X, Y, 5, sample_weight=np.zeros(N_ROWS)),
        ALL_ZERO,
    ),
    "fit: number of weights": (
        lambda nam: nam.fit(X, Y, sample_weight=np.ones(3)),
        r"sample_weight.shape == \(3,\), expected \(600,\)",
    ),
    "grow: few rows": (
        lambda nam: nam.grow(X[:20], Y[:20], 5),
        r"selection set is too small to test anything: 12 rows are left .* 200 "
        r"candidates at delta=0\.05, at least \d+ are needed; pass more rows",
    ),
    "grow: few rows of positive weight": (
        lambda nam: nam.grow(X, Y, 5, sample_weight=np.arange(N_ROWS) < 20),
        r"selection set is too small to test anything: 12 rows are left",
    ),
    "grow: one class": (
        lambda nam: nam.grow(X[Y == 10], Y[Y == 10], 5),
        r"selection set holds rows of one class only.*pass rows of all classes",
    ),
    "grow: n_branches negative": (
        lambda nam: nam.grow(X, Y, -1),
        r"n_branches must be 0 or more, got -1",
    ),
    "grow: n_branches not whole": (
        lambda nam: nam.grow(X, Y, 2.5),
        r"n_branches must be a whole number, got 2\.5 of type float",
    ),
    "grow: n_branches whole float": (
        lambda nam: nam.grow(X, Y, 5.0),
        r"n_branches must be a whole number, got 5\.0 of type float",
    ),
    "grow: n_branches bool": (
        lambda nam: nam.grow(X, Y, True),
        r"n_branches must be a whole number, got True of type bool",
    ),
    "grow: n_branches text": (
        lambda nam: nam.grow(X, Y, "5"),
        r"n_branches must be a whole number, got '5' of type str",
    ),
}

NO_DEVICE = r"device='cuda:99' cannot be used here \(.*\); use device=\"cpu\""

# name: (parameters to set on a fitted model before the next fit, what the message says)
BAD_PARAMETERS = {
    "region outside": (
        {"regions": [[0, 1], [2, 4]]},
        r"regions name column 4, but X has 4 columns \(0 to 3\)",
    ),
    "region negative": ({"regions": [[0, 1], [-1, 2]]}, r"regions name column -1"),
    "grow_regions outside": (
        {"regions": [[0, 1]], "grow_regions": [[0, 9]]},
        r"regions name column 9, but X has 4 columns",
    ),
    "unequal lengths": (
        {"regions": [[0, 1], [1, 2, 3]]},
        r"index lists of one equal, positive length, got lengths \[2, 3\]",
    ),
    "lengths differ in growth": (
        {"regions": [[0, 1]], "grow_regions": [[0, 1, 2]]},
        r"grow_regions have 3 columns each but the base regions have 2",
    ),
    "region not whole": (
        {"regions": [[0.5, 1.0]]},
        r"regions must hold whole column numbers, got dtype float64",
    ),
    "no region": ({"regions": []}, r"regions is an empty list; give at least one"),
    "unknown word": ({"regions": "triples"}, r"regions.*'triples'"),
    "image shape": (
        {"regions": ImagePatches((1, 2, 3), patch_size=2)},
        r"image_shape=\(1, 2, 3\) needs 1 \* 2 \* 3 = 6 columns, but X has 4",
    ),
    "no hidden layer": (
        {"hidden_layer_sizes": ()},
        r"hidden_layer_sizes must hold one positive whole number or more, got \(\)",
    ),
    "hidden layer of 0": (
        {"hidden_layer_sizes": (9, 0)},
        r"hidden_layer_sizes must hold .*, got \(9, 0\)",
    ),
    "hidden layer not whole": ({"hidden_layer_sizes": (9, 4.5)}, r"got \(9, 4\.5\)"),
    "n_branches negative": ({"n_branches": -3}, r"'n_branches' .* Got -3 instead"),
    "n_branches not whole": ({"n_branches": 2.5}, r"'n_branches' .* Got 2\.5 instead"),
    "n_branches bool": ({"n_branches": True}, r"n_branches must be a whole .* got True"),
    "matching": ({"matching": "nearest"}, r"'matching' .* Got 'nearest' instead"),
    "delta": ({"delta": 1.5}, r"'delta' .* Got 1\.5 instead"),
    "max_iter": ({"max_iter": 0}, r"'max_iter' .* Got 0 instead"),
    "device not there": ({"device": "cuda:99"}, NO_DEVICE),
    "device unknown": (
        {"device": "abacus"},
        r"device='abacus' cannot be used here \(.*\); use device=\"cpu\"",
    ),
}


def state_of(nam):
    """What must stay: every attribute, as the very same object, and the predictions."""
    return {name: (id(value), repr(value)) for name, value in vars(nam).items()}


def assert_unchanged(nam, call, match):
    before, proba = state_of(nam), copy.deepcopy(nam).predict_proba(X)
    with pytest.raises(ValueError, match=f"(?s){match}"):
        call()
    assert state_of(nam) == before
    nam.set_params(device="cpu")
    np.testing.assert_array_equal(nam.predict_proba(X), proba)


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(fitted, name):
    work, match = BAD_DATA[name]
    nam = copy.copy(fitted)
    assert_unchanged(nam, lambda: work(nam), match)


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_bad_parameter(fitted, name):
    parameters, match = BAD_PARAMETERS[name]
    nam = copy.copy(fitted)
    proba = nam.predict_proba(X)
    nam.set_params(**parameters)
    before = state_of(nam)
    with pytest.raises(ValueError, match=match):
        nam.fit(X, Y)
    assert state_of(nam) == before
    nam.set_params(device="cpu")
    np.testing.assert_array_equal(nam.predict_proba(X), proba)


@pytest.mark.parametrize("verb", ["grow", "predict"])
def test_device_that_is_gone(fitted, verb):
    """A model fitted on one machine and used on another."""
    nam = copy.copy(fitted).set_params(device="cuda:99")
    before = state_of(nam)
    with pytest.raises(ValueError, match=NO_DEVICE):
        nam.grow(X, Y, 5) if verb == "grow" else nam.predict(X)
    assert state_of(nam) == before
    np.testing.assert_array_equal(
        nam.set_params(device="cpu").predict_proba(X), fitted.predict_proba(X)
    )


@pytest.mark.parametrize("warm_start", [False, True])
def test_bad_data_in_a_second_fit(fitted, warm_start):
    """Another number of columns is fine for a fresh `fit`, not for a warm one."""
    nam = copy.copy(fitted).set_params(warm_start=warm_start, n_branches=8)
    before = state_of(nam)
    wrong = (X, Y[:5]) if not warm_start else (X[:, :3], Y)
    with pytest.raises(ValueError, match=r"inconsistent numbers|X has 3 features"):
        nam.fit(*wrong)
    assert state_of(nam) == before
    np.testing.assert_array_equal(nam.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("shape", [(3, 32), (0, 2, 2), (1, 2.0, 2), (1, -2, -2)])
def test_image_shape_of_no_image(shape):
    with pytest.raises(ValueError, match=r"three positive integers \(channels"):
        ImagePatches(shape)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda nam: nam.grow(X, Y, 5), NotFittedError),
        (lambda nam: nam.grow(X, Y, 0), NotFittedError),
        (lambda nam: nam.predict(X), NotFittedError),
        (lambda nam: nam.predict_proba(X), NotFittedError),
        (lambda nam: nam.decision_function(X), NotFittedError),
        (lambda nam: nam.n_branches_, AttributeError),
        (lambda nam: nam.n_parameters_, AttributeError),
        (lambda nam: nam.grown_branches_, AttributeError),
    ],
)
def test_before_fit(call, error):
    nam = small_nam()
    with pytest.raises(error, match=r"GrowingNAMClassifier .*is not fitted yet.*fit"):
        call(nam)
    assert vars(nam) == nam.get_params(deep=False)


def test_balanced_weights_need_all_rows(fitted):
    nam = copy.copy(fitted).set_params(class_weight="balanced")
    match = r'class_weight="balanced" cannot be used with partial_fit.*pass a dict'
    assert_unchanged(nam, lambda: nam.partial_fit(X, Y), match)
    fresh = small_nam(class_weight="balanced")
    with pytest.raises(ValueError, match=match):
        fresh.partial_fit(X, Y, classes=[10, 11])
    assert vars(fresh) == fresh.get_params(deep=False)
    nam.grow(X, Y, 3)  # which sees all the rows it needs


@pytest.mark.parametrize("matching", ["both", "clusters", "exhaustive"])
def test_a_constant_column_counts_nothing(matching):
    """No error: its plain value is 0, and a matched branch gives it weight 0."""
    constant = X.copy()
    constant[:, 1] = 1e7
    y = X[:, 0] + X[:, 2] + X[:, 3] > 0
    nam = small_nam(
        matching=matching,
        regions=[[0, 1]],
        grow_regions=[[2, 1], [1, 3], [3, 1], [2, 3], [0, 1]],
    )
    nam.fit(constant, y)
    scaled = nam._state.inputs.scaler.transform(constant)
    assert (scaled[:, 1] == 0).all()
    assert scaled[:, 0].std() > 0.2
    nam.grow(constant, y, 5)
    assert nam.n_branches_ == 5
    assert np.isfinite(nam.decision_function(constant)).all()
    uses = nam._state.network.grown.uses
    matched = np.isfinite(uses.lower).any(axis=1)
    assert (uses.columns == 1).any()
    if matching != "both":
        assert (matched == (matching == "clusters")).all()
    # A branch class that ignores a column is as flat as a constant: not asked here.
    assert (uses.scale[matched[:, None] & (uses.columns == 1)] == 0).all()
    assert (np.abs(uses.scale) < 10).all()
    moved = constant.copy()
    moved[:, 1] = np.linspace(-1e9, 1e9, N_ROWS)
    np.testing.assert_array_equal(
        nam.decision_function(moved), nam.decision_function(constant)
    )


def test_devices_are_named_as_torch_names_them(fitted):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    nam = copy.copy(fitted).set_params(device="cuda")
    with pytest.raises(ValueError, match=r"device='cuda' cannot be used here"):
        nam.fit(X, Y)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_class_weights_are_finite_and_not_negative(fitted, weight):
    match = rf"class_weight\[11\] is {weight}; .*finite number of 0 or more"
    nam = copy.copy(fitted).set_params(class_weight={10: 1.0, 11: weight})
    assert_unchanged(nam, lambda: nam.grow(X, Y, 5), match)
    assert_unchanged(nam, lambda: nam.fit(X, Y), match)


@pytest.mark.parametrize("size", [1e300, 1e-300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_any_size_weigh_alike(dtype, size):
    rng = np.random.RandomState(0)
    X, u = rng.randn(200, 3).astype(dtype), rng.uniform(0.1, 1, size=200)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    nam = GrowingNAMClassifier(max_iter=5, n_verified=50, random_state=0)
    proba = nam.fit(X, y, sample_weight=u * size).predict_proba(X)
    expected = nam.fit(X, y, sample_weight=u / u.max()).predict_proba(X)
    np.testing.assert_allclose(proba, expected, rtol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        nam.grow(X, y, 2, sample_weight=u * size)
    assert np.isfinite(nam.predict_proba(X)).all()


@pytest.mark.parametrize("estimator", [GrowingNAMClassifier, GrowingMLPClassifier])
def test_weights_that_float32_cannot_hold_are_none(estimator):
    """A batch, or all rows held out, would else weigh 0 in sum."""
    weight = np.where(np.arange(N_ROWS) % 100 < 5, 1.0, 1e-60)
    model = estimator(early_stopping=True, batch_size=3, max_iter=2, random_state=0)
    faint = model.fit(X.astype(np.float32), Y, weight).predict_proba(X)
    none = model.fit(X.astype(np.float32), Y, weight.round()).predict_proba(X)
    np.testing.assert_array_equal(faint, none)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64])
@pytest.mark.parametrize("estimator", [GrowingNAMClassifier, GrowingMLPClassifier])
def test_labels_that_float64_cannot_tell_apart(estimator, dtype):
    """numpy compares int64 with uint64 as float64, where 2**53 + 1 is 2**53."""
    classes = np.array([2**53, 2**53 + 1, 2**53 + 2])
    y = classes[np.arange(N_ROWS) % 3]
    model = estimator(max_iter=1, random_state=0).fit(X, y)
    # A float is never 2**53 + 1; these rows are of the others.
    rows = y != 2**53 + 1 if dtype is np.float64 else np.full(N_ROWS, True)
    found = labelled_rows(model._state.target, X[rows], y[rows].astype(dtype))
    np.testing.assert_array_equal(found.y, (np.arange(N_ROWS) % 3)[rows])
    with pytest.raises(ValueError, match=r"not seen in fit: \[.*9007199254740996"):
        model.partial_fit(X, (y + 2).astype(dtype))


def test_categories_are_learned_from_labels_as_they_are():
    """The first `partial_fit` of a frame reads labels before they are encoded."""
    classes = np.array([2**53, 2**53 + 1, 2**53 + 2])
    X = pd.DataFrame({"town": list("abc") * 30})
    y = np.tile(classes[[1, 0, 2]], 30)
    expected, found = (
        clone(small_nam(regions="features")).partial_fit(X, labels, classes=classes)
        for labels in (y, y.astype(np.uint64))
    )
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


BEYOND = {"f4": [1e39, -1e39, 1e300], "f8": []}


@pytest.mark.parametrize("dtype", BEYOND)
@pytest.mark.parametrize(
    "estimator", [GrowingNAMClassifier, GrowingNAMRegressor, GrowingMLPClassifier,
                  GrowingMLPRegressor, ElectionTransferClassifier],
)  # fmt: skip
def test_inputs_beyond_the_dtype_of_the_model(estimator, dtype):
    """Checked in float64 and then converted, they were infinite in a float32 model."""
    rng = np.random.RandomState(0)
    pixels = rng.uniform(0, 1, size=(300, 16)).astype(dtype)
    y = (pixels[:, 0] + pixels[:, 5] > 1).astype(int)
    patches = {"regions": ImagePatches((1, 4, 4), 2, 2)}
    if estimator is ElectionTransferClassifier:
        nam = GrowingNAMClassifier(**patches, max_iter=2, random_state=0).fit(pixels, y)
        model = ElectionTransferClassifier(nam, **patches, n_branches=3, random_state=0)
    elif estimator in (GrowingMLPClassifier, GrowingMLPRegressor):
        model = estimator(max_iter=2, random_state=0)
    else:
        model = estimator(**patches, max_iter=2, random_state=0)
    model.fit(pixels, y)
    before = model.predict(pixels)
    more = (
        {"n_neurons": 1} if hasattr(model, "hidden_layer_sizes_") else {"n_branches": 1}
    )
    for value in BEYOND[dtype]:
        wrong = pixels.astype("f8")
        wrong[7, 3] = value
        match = re.escape(f"X holds {value:.3g}, a value too large for the float32")
        with pytest.raises(ValueError, match=match):
            model.predict(wrong)
        with pytest.raises(ValueError, match=match):
            model.partial_fit(wrong, y)
        with pytest.raises(ValueError, match=match):
            model.grow(wrong, y, **more)
        np.testing.assert_array_equal(model.predict(pixels), before)
    # What the dtype can hold is answered, however far it is from what was seen.
    largest = np.finfo(dtype).max
    far = np.array([[largest] * 16, [-largest] * 16, [largest, -largest] * 8, [0.5] * 16])
    scores = getattr(model, "decision_function", model.predict)
    found = scores(far.astype(dtype))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[3:], scores(far[3:].astype(dtype)), rtol=1e-4)


@pytest.mark.parametrize("estimator", [GrowingNAMClassifier, GrowingMLPRegressor])
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "grow"])
def test_no_labels_at_all(estimator, verb):
    model = estimator(max_iter=1, random_state=0).fit(X, Y)
    more = [1] if verb == "grow" else []
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is"):
        getattr(model, verb)(X[:2], None, *more)
