import numpy as np
import pytest

from bal.datasets import (
    Dataset,
    diabetes,
    digits,
    noisy_inputs,
    noisy_labels,
    repeated,
    split,
    standardize,
    start_set,
)


def small(num_rows=12, num_classes=3):
    x = np.arange(num_rows * 2, dtype=np.float32).reshape(num_rows, 2)
    return Dataset(x, np.arange(num_rows, dtype=np.int32) % 3, None, None, "small", num_classes, "made up")


def test_fingerprint_follows_the_arrays_only():
    data = small()
    assert data.fingerprint == small()._replace(name="other", source="elsewhere").fingerprint
    assert data.fingerprint == data._replace(x=np.asfortranarray(data.x)).fingerprint
    assert data.fingerprint == data._replace(x=data.x.astype(">f4")).fingerprint
    changed = [
        data._replace(x=data.x + 1),
        data._replace(y=data.y[::-1]),
        data._replace(x=data.x.astype(np.float64)),
        data._replace(x=data.x.reshape(12, 1, 2)),
        data._replace(x_test=data.x, y_test=data.y),
        data._replace(x=data.x[:6], y=data.y[:6], x_test=data.x[6:], y_test=data.y[6:]),
    ]
    assert len({data.fingerprint, *(d.fingerprint for d in changed)}) == 7


def test_split_is_a_partition_fixed_by_the_seed():
    data = split(small(), seed=3, num_test=5)
    both = np.concatenate([data.x, data.x_test])
    np.testing.assert_array_equal(both[np.argsort(both[:, 0])], small().x)
    np.testing.assert_array_equal(data.y, (data.x[:, 0] // 2) % 3)
    np.testing.assert_array_equal(data.y_test, (data.x_test[:, 0] // 2) % 3)
    assert len(data.x_test) == 5
    assert data.fingerprint == split(small(), seed=3, num_test=5).fingerprint
    assert data.fingerprint != split(small(), seed=4, num_test=5).fingerprint


def test_split_draws_every_row_equally_often():
    hits = sum(np.isin(np.arange(12), split(small(), s, 3).x_test[:, 0] / 2) for s in range(2000))
    assert np.abs(hits - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize("num_test", [0, 12, -1])
def test_split_needs_two_parts(num_test):
    with pytest.raises(ValueError, match=r"num_test must lie in 1 \.\. 11"):
        split(small(), 0, num_test)


def test_split_refuses_to_lose_a_test_set():
    with pytest.raises(ValueError, match="but small has 4"):
        split(split(small(), 0, 4), 0, 4)


def test_standardize_uses_training_rows_only():
    data = split(diabetes(), seed=0, num_test=100)
    scaled, scaling = standardize(data)
    poisoned = data._replace(x_test=data.x_test * np.nan, y_test=data.y_test * np.nan)
    again, _ = standardize(poisoned)
    np.testing.assert_array_equal(again.x, scaled.x)
    np.testing.assert_array_equal(again.y, scaled.y)
    np.testing.assert_allclose(scaled.x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.x_test * scaling.x_scale + scaling.x_mean, data.x_test, rtol=1e-5)
    np.testing.assert_allclose(scaled.y_test * scaling.y_scale + scaling.y_mean, data.y_test, rtol=1e-5)
    assert scaled.x.dtype == scaled.y.dtype == np.float32


def test_standardize_leaves_classes_alone_and_keeps_the_scale_of_constants():
    data = small()
    data.x[:, 1] = 0.1
    scaled, scaling = standardize(data)
    assert (scaling.y_mean, scaling.y_scale, scaling.x_scale[1]) == (0, 1, 1)
    np.testing.assert_array_equal(scaled.y, data.y)
    np.testing.assert_allclose(scaled.x[:, 1], 0, atol=1e-7)


def test_repeated_knows_its_originals():
    data = digits()
    pool, original = repeated(data, copies=3, noise=0.1, seed=1)
    np.testing.assert_array_equal(pool.y, data.y[original])
    error = pool.x - data.x[original]
    assert abs(error.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * error.size)
    copies = error.reshape(3, -1)
    assert np.abs(np.corrcoef(copies)[~np.eye(3, dtype=bool)]).max() < 5 / np.sqrt(copies.shape[1])
    exact, original = repeated(data, copies=2)
    np.testing.assert_array_equal(exact.x, data.x[original])
    assert pool.x.dtype == np.float32


def test_noisy_labels_flip_exactly_and_uniformly():
    data = small()._replace(y=np.zeros(60000, np.int32), num_classes=4)
    y = noisy_labels(data, 0.5, seed=2).y
    counts = np.bincount(y, minlength=4)
    assert counts[0] == 30000
    assert np.abs(counts[1:] - 10000).max() < 4 * np.sqrt(30000 * 2 / 9)
    assert (data.y == 0).all()
    assert (noisy_labels(small(), 1.0).y != small().y).all()


def test_noise_leaves_the_test_set_alone():
    data = split(small(), 0, 4)
    for noisy in (noisy_inputs(data, 1.0), noisy_labels(data, 0.5), repeated(data, 2, 1.0)[0]):
        assert noisy.x_test is data.x_test
        assert noisy.y_test is data.y_test
        assert noisy.source != data.source


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: repeated(d, 0), "copies must be at least 1"),
        (lambda d: repeated(d, 2, noise=-1.0), "noise is a standard deviation"),
        (lambda d: noisy_inputs(d, float("nan")), "noise is a standard deviation"),
        (lambda d: noisy_labels(d, 1.5), "fraction must lie in"),
        (lambda d: noisy_labels(d._replace(num_classes=None), 0.5), "regression set"),
    ],
)
def test_variants_refuse_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        change(small())


@pytest.mark.parametrize("size", [1, 10, 20, 23])
def test_start_set_is_balanced_without_repeats(size):
    y = digits().y
    rows = start_set(y, size, seed=5)
    counts = np.bincount(y[rows], minlength=10)
    assert len(set(rows.tolist())) == size
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(rows, start_set(y, size, seed=5))
    assert set(rows.tolist()) != set(start_set(y, size, seed=6).tolist())


def test_start_set_needs_no_consecutive_labels():
    y = np.array([7, 7, 7, 2, 2, 2])
    assert sorted(y[start_set(y, 4)].tolist()) == [2, 2, 7, 7]


@pytest.mark.parametrize(
    ("y", "size", "message"),
    [
        (np.array([0, 0, 0, 1]), 4, "needs 2 rows of class 1, which has 1"),
        (np.array([0, 1]), 3, r"size must lie in 1 \.\. 2"),
        (np.array([0, 1]), 0, "size must lie"),
        (np.array([0.5, 1.5]), 1, "integer classes"),
        (np.zeros((3, 2), int), 1, "integer classes"),
    ],
)
def test_start_set_refuses_bad_arguments(y, size, message):
    with pytest.raises((TypeError, ValueError), match=message + "|[Tt]ype-check"):
        start_set(y, size)
