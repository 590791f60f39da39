"""The chain against all sequences of tags, written out in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.tagging import PADDED, Chain, log_marginals, log_partition, sequence_score, viterbi

T, C = 4, 3
LENGTHS = (4, 2, 1)
MASK = np.arange(T) < np.array(LENGTHS)[:, None]


@pytest.fixture(scope="module")
def problem():
    draw = np.random.default_rng(0)
    emissions = draw.normal(size=(len(LENGTHS), T, C)).astype(np.float32)
    return emissions, Chain(*(draw.normal(size=shape).astype(np.float32) for shape in ((C,), (C, C), (C,))))


@pytest.fixture(scope="module")
def computed(problem):
    """Everything in one program."""

    @jax.jit
    def everything(emissions, chain):
        mask = jnp.asarray(MASK)
        best, tags = viterbi(emissions, chain, mask)
        partition = lambda emissions, chain: log_partition(emissions, chain, mask).sum()
        grads = jax.grad(partition, (0, 1))(emissions, chain)
        return {
            "partition": log_partition(emissions, chain, mask),
            "marginals": log_marginals(emissions, chain, mask),
            "best": best,
            "tags": tags,
            "score": sequence_score(emissions, chain, tags, mask),
            "grads": grads,
        }

    return lambda emissions: everything(emissions, problem[1])


def enumerated(emissions, chain, length):
    """Every sequence of tags of one sentence, and its score."""
    every = list(itertools.product(range(C), repeat=length))
    emissions, chain = emissions.astype(np.float64), Chain(*(np.asarray(leaf, np.float64) for leaf in chain))
    scores = []
    for tags in every:
        score = chain.start[tags[0]] + chain.end[tags[-1]]
        score += sum(emissions[place, tag] for place, tag in enumerate(tags))
        score += sum(chain.moves[i, j] for i, j in itertools.pairwise(tags))
        scores.append(score)
    return np.array(every), np.array(scores)


def test_equals_enumeration(problem, computed):
    emissions, chain = problem
    found = computed(emissions)
    counts = np.zeros((C, C))
    for row, length in enumerate(LENGTHS):
        every, scores = enumerated(emissions[row], chain, length)
        p = np.exp(scores - scores.max())
        total, p = np.log(p.sum()) + scores.max(), p / p.sum()
        np.testing.assert_allclose(found["partition"][row], total, rtol=1e-6)
        own = np.array([[p[every[:, t] == c].sum() for c in range(C)] for t in range(length)])
        np.testing.assert_allclose(np.exp(found["marginals"][row, :length]), own, rtol=1e-5)
        np.testing.assert_allclose(found["best"][row], scores.max(), rtol=1e-6)
        assert found["tags"][row, :length].tolist() == every[scores.argmax()].tolist()
        np.testing.assert_allclose(found["score"][row], scores.max(), rtol=1e-6)
        np.testing.assert_allclose(found["grads"][0][row, :length], own, rtol=1e-5)
        for tags, share in zip(every, p):
            for i, j in itertools.pairwise(tags):
                counts[i, j] += share
    np.testing.assert_allclose(found["grads"][1].moves, counts, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_gradient_of_a_score_counts_its_moves(problem):
    emissions, chain = problem
    tags = np.array([[0, 2, 1, 1], [1, 1, PADDED, PADDED], [2, PADDED, PADDED, PADDED]])
    fixed = jnp.asarray(emissions), jnp.asarray(tags), jnp.asarray(MASK)
    total = lambda chain: sequence_score(fixed[0], chain, fixed[1], fixed[2]).sum()
    score = jax.jit(jax.grad(total))(jax.tree.map(jnp.asarray, chain))
    counts = np.zeros((C, C))
    for row, length in zip(tags, LENGTHS):
        for i, j in itertools.pairwise(row[:length]):
            counts[i, j] += 1
    np.testing.assert_allclose(score.moves, counts)
    np.testing.assert_allclose(score.start, np.bincount(tags[:, 0], minlength=C))
    np.testing.assert_allclose(score.end, np.bincount([1, 1, 2], minlength=C))


def test_padding_changes_nothing(problem, computed):
    emissions, _ = problem
    other = np.where(MASK[..., None], emissions, 1e3).astype(np.float32)
    for name, leaf in computed(emissions).items():
        if name != "grads":
            np.testing.assert_array_equal(leaf, computed(other)[name])
    assert (np.asarray(computed(emissions)["tags"])[~MASK] == PADDED).all()
    np.testing.assert_allclose(computed(emissions)["marginals"][~MASK], -np.log(C), rtol=1e-6)


@pytest.mark.slow
def test_without_moves_words_are_independent(problem):
    emissions, chain = problem
    none = jax.tree.map(jnp.zeros_like, chain)
    found = jax.jit(log_marginals)(jnp.asarray(emissions), none, jnp.asarray(MASK))
    np.testing.assert_allclose(found[MASK], jax.nn.log_softmax(emissions, -1)[MASK], rtol=1e-5, atol=1e-6)
