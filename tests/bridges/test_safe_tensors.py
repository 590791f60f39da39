"""Posteriors out and in again, and what the file holds by the published format."""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.bridges import load_posterior, save_posterior
from bal.bridges.safe_tensors import named_leaves
from bal.typing import Posterior
from tests.problem import LEARNER, SETUP

STATE = {
    "params": [{"kernel": jnp.arange(6.0).reshape(2, 3).T, "bias": jnp.ones(0)}, {"scale": jnp.float32(2.5)}],
    "half": jnp.arange(3, dtype=jnp.bfloat16),
    "count": jnp.int32(7),
    "key": jax.random.key(3),
}


def test_names_are_paths():
    assert list(named_leaves(STATE)) == ["count", "half", "key", "params.0.bias", "params.0.kernel", "params.1.scale"]
    with pytest.raises(ValueError, match=r"two arrays of this state would be called 'a.b'"):
        named_leaves({"a": {"b": 1}, "a.b": 2})


@pytest.fixture
def file(tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    return tmp_path / "posterior.safetensors"


def test_every_bit_comes_back(file):
    save_posterior(file, Posterior(STATE, LEARNER))
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    for like in (STATE, jax.eval_shape(lambda: STATE)):
        back = load_posterior(file, LEARNER, like)
        assert back.learner == LEARNER
        assert jax.tree.structure(back.state) == jax.tree.structure(STATE)
        for old, new in zip(jax.tree.leaves(STATE), jax.tree.leaves(back.state), strict=True):
            assert old.dtype == new.dtype
            assert old.shape == new.shape
            assert (old == new).all()


def test_the_file_is_what_the_format_says(file):
    """Eight bytes of length, a header of JSON, and the bytes of the arrays, read without the library."""
    save_posterior(file, Posterior(STATE, LEARNER))
    raw = file.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    assert header.pop("__metadata__") == {"format": "bal", "learner": repr(LEARNER)}
    entry = header["params.0.kernel"]
    begin, end = entry["data_offsets"]
    values = np.frombuffer(raw[8 + size :][begin:end], "<f4").reshape(entry["shape"])
    np.testing.assert_array_equal(values, STATE["params"][0]["kernel"])
    assert (header["half"]["dtype"], header["count"]["shape"]) == ("BF16", [])


def test_what_does_not_belong_together_is_said(file):
    save_posterior(file, Posterior(STATE, LEARNER))
    for learner, like, message in (
        (SETUP.learner._replace(embed=None), STATE, "expected the posterior of Learner"),
        (LEARNER, {**STATE, "more": jnp.ones(1)}, "differ in array 'more'"),
        (LEARNER, {**STATE, "count": jnp.zeros(2)}, r"array 'count' is int32\[\] in the file, but float32\[2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            load_posterior(file, learner, like)
    with pytest.raises(TypeError, match="'state' is a object; save the model by its own library"):
        save_posterior(file, Posterior(object(), LEARNER))
    error = pytest.importorskip("safetensors").SafetensorError
    with pytest.raises(error, match="No such file"):
        save_posterior(file.parent / "nowhere" / "file", Posterior(STATE, LEARNER))
