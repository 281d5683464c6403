"""The ten laws of DESIGN.md, each a test of that name, and what failures leave behind."""

import copy
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches
from skgrow.estimators import additive_steps
from skgrow.growth.reuse import mask_state, rounds
from skgrow.inputs.windows import Window
from skgrow.networks.forward import features_major

MATCHINGS = ["both", "clusters", "exhaustive"]
PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=5)  # 4 patches, 36 to grow on
X, Y = load_digits(n_class=5, return_X_y=True)  # float64, 901 rows
BASE, SELECTION = slice(None, 400), slice(None, 800)


def digits_nam(**parameters):
    small = {
        "hidden_layer_sizes": (8, 8),
        "matching": "exhaustive",
        "max_iter": 5,
        "batch_size": 64,
        "n_verified": 300,
        "search_regions": 15,
        "round_size": 5,
        "random_state": 0,
    }
    return GrowingNAMClassifier(**{"regions": PATCHES, **small, **parameters})


@pytest.fixture(scope="module")
def fitted():
    """A fitted base and its first ten grown branches; not to be changed."""
    cache = {}

    def get(matching):
        if matching not in cache:
            base = digits_nam(matching=matching).fit(X[BASE], Y[BASE])
            grown = copy.deepcopy(base).grow(X[SELECTION], Y[SELECTION], 10)
            assert grown.n_branches_ == 10
            cache[matching] = base, grown
        return cache[matching]

    return get


def arrays_of(thing):
    """Every array in a bank, a table of candidates or a table of grown branches."""
    found = {}
    for name, value in vars(thing).items():
        if isinstance(value, tuple):
            found.update({f"{name}[{i}]": array for i, array in enumerate(value)})
        elif isinstance(value, np.ndarray):
            found[name] = value
        elif value is not None and not isinstance(value, (str, Window)):
            nested = arrays_of(value)
            found.update({f"{name}.{key}": array for key, array in nested.items()})
    return found


def assert_same_arrays(one, two):
    one, two = arrays_of(one), arrays_of(two)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def assert_same_model(one, two):
    """Same to the bit."""
    assert_same_arrays(one._state.network, two._state.network)
    assert one.growth_history_ == two.growth_history_
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def assert_same_to_rounding(one, two):
    """Same branches for the same classes, same history but for the seconds."""
    exact = ("region", "branch", "branch_class", "target_class")
    for a, b in zip(one.grown_branches_, two.grown_branches_, strict=True):
        assert [a[name] for name in exact] == [b[name] for name in exact]
        for name in a.keys() - set(exact):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=1e-9)
    for a, b in zip(one.growth_history_, two.growth_history_, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds"}:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6)
    np.testing.assert_allclose(
        one.decision_function(X), two.decision_function(X), rtol=1e-5, atol=1e-6
    )


# -------------------------------------------------------------------------- the laws


@pytest.mark.parametrize("matching", MATCHINGS)
def test_law_1_growing_by_nothing_changes_nothing(fitted, matching):
    for nam in fitted(matching):
        before = copy.deepcopy(nam)
        assert nam.grow(X[SELECTION], Y[SELECTION], n_branches=0) is nam
        assert vars(nam).keys() == vars(before).keys()
        assert_same_model(nam, before)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_law_2_growing_never_touches_what_was_there(fitted, matching):
    base, grown = fitted(matching)
    assert_same_arrays(base.bank_, grown.bank_)
    more = copy.deepcopy(grown).grow(X[SELECTION], Y[SELECTION], 10)
    assert more.n_branches_ == 20
    assert_same_arrays(more.bank_, base.bank_)
    assert_same_arrays(
        more._state.network.grown.take(slice(10)), grown._state.network.grown
    )
    assert more.grown_branches_[:10] == grown.grown_branches_
    assert more.loss_curve_ == base.loss_curve_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_growth_searches_in_single_precision_and_keeps_that_of_the_inputs(
    monkeypatch, dtype
):
    outputs, seen = rounds.candidate_outputs, set()

    def watched(bank, candidates, features):
        seen.update({bank.dtype.name, candidates.scale.dtype.name, str(features.dtype)})
        return outputs(bank, candidates, features)

    monkeypatch.setattr(rounds, "candidate_outputs", watched)
    inputs = X.astype(dtype)
    nam = digits_nam(matching="both").fit(inputs[BASE], Y[BASE])
    nam.grow(inputs[SELECTION], Y[SELECTION], 10)  # the second round has uses to look at
    assert seen == {"float32", "torch.float32"}
    arrays = arrays_of(nam._state.network.grown).items()
    kept = {name: array.dtype for name, array in arrays if array.dtype.kind == "f"}
    proofs = {"precision", "recall", "bound"}
    assert {kept[name] for name in kept.keys() - proofs} == {np.dtype(dtype)}
    assert nam.decision_function(inputs).dtype == dtype


def test_law_2_a_joint_refit_touches_the_masks_alone(fitted):
    _, grown = fitted("exhaustive")
    more = copy.deepcopy(grown).set_params(refit=True)
    more.grow(X[SELECTION], Y[SELECTION], 10)
    assert_same_arrays(more.bank_, grown.bank_)
    masks = {"scale", "bias"}

    def rest(record):
        return {k: v for k, v in record.items() if k not in masks}

    before = [rest(record) for record in grown.grown_branches_]
    after = [rest(record) for record in more.grown_branches_]
    # A branch whose two numbers both become 0 leaves; all others stay, in order.
    kept = [record for record in before if record in after]
    assert len(kept) >= 8
    assert after[: len(kept)] == kept
    old = {record["threshold"]: record["scale"] for record in grown.grown_branches_}
    new = {record["threshold"]: record["scale"] for record in more.grown_branches_}
    assert any(new[key] != old[key] for key in old.keys() & new.keys())


def test_a_joint_refit_on_a_part_of_the_rows_knows_all_scores(fitted, monkeypatch):
    """Where the values of all branches on all rows would take too much memory."""
    _, grown = fitted("exhaustive")
    more = copy.deepcopy(grown).set_params(refit=True)
    # A third of the rows.
    monkeypatch.setattr(mask_state, "MAX_REFIT_BYTES", 20 * 250 * 8)
    more.grow(X[SELECTION], Y[SELECTION], 10)
    last = more.growth_history_[-1]
    assert last["loss"] < grown.growth_history_[-1]["loss"]
    of_all = 0.9 * last["loss"] + 0.1 * last["held_out_loss"]
    proba = more.predict_proba(X[SELECTION])
    np.testing.assert_allclose(of_all, log_loss(Y[SELECTION], proba), rtol=1e-9)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_law_3_terms_and_intercept_sum_to_the_decision_function(fitted, matching):
    nam = fitted(matching)[1]
    scaled = nam._state.inputs.scaler.transform(X)
    total = nam.intercept_ + nam.bank_.terms(scaled).sum(axis=1)
    features = features_major(scaled)
    contributions = nam._state.network.grown.runner().contributions(features).numpy()
    assert contributions.shape == (10, len(X))
    assert (contributions >= 0).all()
    assert (contributions.max(axis=1) > 0).all()
    for record, added in zip(nam.grown_branches_, contributions, strict=True):
        total[:, record["target_class"]] += added
    np.testing.assert_allclose(nam.decision_function(X), total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_law_4_folded_first_layer_equals_map_then_branch(fitted, matching):
    """The whole grown network, with its maps applied to the inputs one by one."""
    nam = fitted(matching)[1]
    uses, bank = nam._state.network.grown.uses, nam.bank_
    # Clusters are matched with input maps; branches as they are have none.
    assert (uses.scale != 1).any() == (matching != "exhaustive")
    scaled = nam._state.inputs.scaler.transform(X)
    logits = nam.intercept_ + bank.terms(scaled).sum(axis=1)
    for m, record in enumerate(nam.grown_branches_):
        inputs = scaled[:, record["region"]]
        outside = ((inputs < uses.lower[m]) | (inputs > uses.upper[m])).any(axis=1)
        hidden = inputs * uses.scale[m] + uses.shift[m]
        b = record["branch"]
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        output = hidden @ bank.weights[-1][b][:, record["branch_class"]]
        value = np.maximum(output - record["threshold"], 0) / record["span"]
        value[outside] = 0
        added = record["scale"] * value + record["bias"] * (value > 0)
        logits[:, record["target_class"]] += added
    np.testing.assert_allclose(nam.decision_function(X), logits, rtol=0, atol=1e-11)


@pytest.mark.parametrize("matching", ["both", "exhaustive"])
def test_law_5_growing_twice_continues_the_sequence(matching):
    """Rounds of 25, in which enough candidates qualify to replace those that tuning
    drops: `grow(50)` ends between rounds."""
    X, Y = load_digits(return_X_y=True)
    parameters = {"round_size": 25, "n_rounds_no_change": 9, "matching": matching}
    nam = digits_nam(max_iter=2, search_regions=20, **parameters)
    nam.fit(X[:900], Y[:900])
    once, twice = copy.deepcopy(nam), nam
    once.grow(X, Y, 75)
    sizes = [row["n_branches"] for row in once.growth_history_]
    assert (sizes[:2], sizes[-1]) == ([25, 50], 75)
    twice.grow(X, Y, 50).grow(X, Y, 25)
    assert_same_to_rounding(once, twice)


def grown_under(n_jobs):
    # Several jobs: regions are given out 4 at a time, candidates 128.
    nam = digits_nam(n_jobs=n_jobs, matching="both", search_regions=36)
    return nam.fit(X[BASE], Y[BASE]).grow(X[SELECTION], Y[SELECTION], 10)


@pytest.mark.slow
def test_law_6_same_model_whatever_the_workers():
    alone = grown_under(1)
    with joblib.parallel_config(backend="threading"):
        assert_same_to_rounding(alone, grown_under(2))
    with joblib.parallel_config(backend="loky"):
        assert_same_to_rounding(alone, grown_under(2))


@pytest.mark.slow
def test_law_6_same_model_whatever_the_threads():
    n_threads = torch.get_num_threads()
    models = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            models.append(grown_under(None))
    finally:
        torch.set_num_threads(n_threads)
    assert_same_to_rounding(*models)


@pytest.mark.slow
@pytest.mark.parametrize("matching", MATCHINGS)
def test_law_7_noise_grows_nothing(fitted, monkeypatch, matching):
    """A run adds a branch with a chance of delta at most; of these four none does.

    Thresholds are chosen as if any precision would pass. Otherwise the search rows show
    already that nothing will, and next to no candidate is tested on fresh rows.
    """
    scan = rounds.scan_thresholds

    def hopeful(outputs, target, now, growth, asked, vote):
        return scan(outputs, target, now, growth, 0.0, vote)

    monkeypatch.setattr(rounds, "scan_thresholds", hopeful)
    base, grown = fitted(matching)
    for seed in range(4):
        nam = copy.deepcopy(base).set_params(delta=0.1)
        if matching != "exhaustive":  # found once: those of the same base
            nam._state = replace(nam._state, clusters=grown._state.clusters)
        noise = np.random.RandomState(seed).permutation(Y[400:])
        with pytest.warns(GrowthStoppedWarning, match="no candidate qualifies"):
            nam.grow(X[400:], noise, 20)
        assert nam.n_branches_ == 0
        history = nam.growth_history_
        assert len(history) == 3  # rounds without a fall of the held-out loss
        assert all(row["n_tested"] > 200 for row in history)
        assert all(row["n_qualified"] == 0 for row in history)


def test_law_7_noise_in_fit_grows_nothing():
    noise = np.random.RandomState(0).permutation(Y)
    with pytest.warns(GrowthStoppedWarning, match="added 0 of 20 branches"):
        nam = digits_nam(n_branches=20, delta=0.1).fit(X, noise)
    assert nam.n_branches_ == 0
    assert all(row["n_qualified"] == 0 for row in nam.growth_history_)


def test_law_8_global_state_is_as_before():
    def state():
        name, keys, *rest = np.random.get_state()
        return (
            (name, keys.tobytes(), *rest),
            torch.get_rng_state().numpy().tobytes(),
            (torch.get_num_threads(), torch.get_num_interop_threads()),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            np.geterr(),
        )

    before = state()
    for random_state in (0, np.random.RandomState(0)):
        nam = digits_nam(random_state=random_state, matching="both", n_jobs=2)
        nam.set_params(early_stopping=True, search_regions=36)
        with joblib.parallel_config(backend="threading"):
            nam.fit(X[BASE], Y[BASE]).grow(X[SELECTION], Y[SELECTION], 10)
        nam.partial_fit(X[BASE], Y[BASE]).predict(X)
        assert state() == before


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_law_9_saved_and_loaded_predicts_to_the_bit(
    fitted, matching, mmap_mode, tmp_path
):
    for i, nam in enumerate(fitted(matching)):
        joblib.dump(nam, tmp_path / f"{i}.joblib")
        loaded = joblib.load(tmp_path / f"{i}.joblib", mmap_mode=mmap_mode)
        assert_same_model(loaded, nam)
        assert repr(loaded.get_params()) == repr(nam.get_params())


@pytest.mark.parametrize("regions", [PATCHES, [[2, 3], [10, 43], [3, 36]]])
def test_law_10_weight_2_is_the_row_twice(regions):
    """Where training is full-batch: up to batch_size rows."""
    times = np.random.RandomState(0).randint(4, size=120)  # 0 is a row left out
    repeated = np.repeat(np.arange(120), times)
    parameters = {"max_iter": 20, "batch_size": 256, "regions": regions}
    for class_weight in (None, {3: 2.5}):
        weighted, twice = (
            digits_nam(class_weight=class_weight, **parameters) for _ in range(2)
        )
        weighted.fit(X[:120], Y[:120], sample_weight=times)
        twice.fit(X[repeated], Y[repeated])
        np.testing.assert_allclose(
            weighted.decision_function(X), twice.decision_function(X), atol=1e-6
        )
    plain = digits_nam(**parameters).fit(X[:120], Y[:120])
    difference = plain.decision_function(X) - weighted.decision_function(X)
    assert np.abs(difference).max() > 0.01


def test_growth_that_finds_no_candidate_at_all_stops_and_says_so(fitted):
    nam = copy.deepcopy(fitted("exhaustive")[0])
    bank = nam.bank_
    zeroed = replace(bank, weights=(*bank.weights[:-1], 0 * bank.weights[-1]))
    grown = replace(nam._state.network.grown, bank=zeroed)
    nam._state = replace(
        nam._state, network=replace(nam._state.network, bank=zeroed, grown=grown)
    )
    for matching in MATCHINGS:
        nam.set_params(matching=matching)
        with pytest.warns(GrowthStoppedWarning, match="no candidate qualifies"):
            nam.grow(X[SELECTION], Y[SELECTION], 5)
    assert nam.n_branches_ == 0
    assert all(row["n_tested"] == 0 for row in nam.growth_history_)


# -------------------------------------------------------------- what failures leave


def fail_at_call(function, n_call, error):
    calls = []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == n_call:
            raise error
        return function(*args, **kwargs)

    return failing


@pytest.mark.parametrize("matching", ["both", "exhaustive"])
def test_interrupted_growth_keeps_its_finished_rounds(fitted, monkeypatch, matching):
    base, grown = fitted(matching)
    nam = copy.deepcopy(base)
    with monkeypatch.context() as patch:
        failing = fail_at_call(rounds.grow_round, 3, KeyboardInterrupt)
        patch.setattr(rounds, "grow_round", failing)
        with pytest.warns(GrowthStoppedWarning, match="added 10 of 50 .*interrupted"):
            nam.grow(X[SELECTION], Y[SELECTION], 50)
    assert_same_arrays(nam._state.network, grown._state.network)
    assert len(nam.growth_history_) == 2
    nam.grow(X[SELECTION], Y[SELECTION], 5)  # and it is usable
    assert nam.n_branches_ == 15


def test_growth_interrupted_inside_fit_keeps_the_base(monkeypatch):
    failing = fail_at_call(rounds.grow_round, 2, KeyboardInterrupt)
    monkeypatch.setattr(rounds, "grow_round", failing)
    nam = digits_nam(n_branches=50)
    with pytest.warns(GrowthStoppedWarning, match="added 5 of 50 .*interrupted"):
        nam.fit(X[SELECTION], Y[SELECTION])
    assert nam.n_branches_ == 5
    assert nam.score(X, Y) > 0.3


@pytest.mark.parametrize("error", [RuntimeError("memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
def test_failed_training_leaves_the_model_as_it_was(fitted, monkeypatch, verb, error):
    nam = copy.deepcopy(fitted("exhaustive")[1])
    before = copy.deepcopy(nam)
    failing = fail_at_call(additive_steps.train_bank, 1, error)
    monkeypatch.setattr(additive_steps, "train_bank", failing)
    other = Y[:100] % 3 if verb == "fit" else Y[:100]
    with pytest.raises(type(error)):
        getattr(nam, verb)(X[:100], other)
    assert vars(nam).keys() == vars(before).keys()
    assert_same_model(nam, before)
    np.testing.assert_array_equal(nam.classes_, before.classes_)


def test_failed_growth_leaves_the_model_as_it_was(fitted, monkeypatch):
    nam = copy.deepcopy(fitted("both")[0])
    before = copy.deepcopy(nam)
    failing = fail_at_call(rounds.grow_round, 2, RuntimeError("memory"))
    monkeypatch.setattr(rounds, "grow_round", failing)
    with pytest.raises(RuntimeError, match="memory"):
        nam.grow(X[SELECTION], Y[SELECTION], 20)
    assert vars(nam).keys() == vars(before).keys()
    assert_same_model(nam, before)


def test_failed_first_fit_leaves_an_unfitted_estimator(monkeypatch):
    failing = fail_at_call(additive_steps.train_bank, 1, RuntimeError("memory"))
    monkeypatch.setattr(additive_steps, "train_bank", failing)
    nam = digits_nam()
    with pytest.raises(RuntimeError, match="memory"):
        nam.fit(X[:100], Y[:100])
    assert vars(nam) == nam.get_params(deep=False)


@pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
def test_growth_finds_a_shape_where_it_lies_reversed():
    """The base learns a corner, and on other columns it is the opposite corner."""
    rng = np.random.RandomState(0)
    inputs = rng.uniform(-1, 1, size=(3000, 4))
    corner = (inputs[:, :2] > 0.2).all(axis=1)
    opposite = (inputs[:, 2:] < -0.2).all(axis=1)
    y = (4 * corner + 4 * opposite + rng.logistic(size=3000) > 2).astype(int)
    nam = GrowingNAMClassifier(
        [[0, 1]], grow_regions=[[2, 3]], matching="exhaustive", random_state=0
    )
    nam.fit(inputs[:1500], y[:1500])
    before = log_loss(y[1500:], nam.predict_proba(inputs[1500:]))
    nam.grow(inputs[:1500], y[:1500], 5)
    uses = nam._state.network.grown.uses
    reversed_both = (uses.scale == -1).all(axis=1)
    assert reversed_both.mean() > 0.5
    after = log_loss(y[1500:], nam.predict_proba(inputs[1500:]))
    assert after < before - 0.05
