"""What the figures on MC dropout run: a network on MNIST, trained anew each round on labels that a score asks for."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bal import acquisition
from bal.datasets import Dataset, MissingDataError, digits, mnist, split, start_set
from bal.evaluation import classification
from bal.learners import categorical, gal_cnn, mc_dropout, mlp
from bal.learners.mc_dropout import DropoutState
from bal.learners.training import train
from bal.method import method
from bal.pool import chunked
from bal.query import score
from bal.selection import best, random_uniform, shortlist
from bal.typing import Acquisition, Data, Learner, Over, Posterior, PRNGKey, PyTree, Query, Setup, Stage
from experiments.classification import Split, own_pools
from paper_figures.common import Options, run_study, say


class Protocol(NamedTuple):
    """Labels to start from, labels of a round, and how many rounds there are for one of the first protocol."""

    start: int
    batch: int
    rounds: float


PROTOCOLS = {"printed": Protocol(20, 10, 1.0), "logged": Protocol(100, 5, 1.8)}


class Sizes(NamedTuple):
    """What a scale means; `channels` of either convolution, 0 for none: a perceptron of one hidden layer."""

    num_seeds: int
    num_rounds: int
    num_pool: int
    num_test: int
    channels: int
    hidden: int
    decay: float
    num_draws: int
    num_steps: int
    minibatch: int
    num_candidates: int


SIZES = {
    "smoke": Sizes(2, 2, 400, 200, 0, 16, 0.1, 5, 20, 32, 100),
    "cpu": Sizes(10, 100, 10_000, 2_000, 0, 128, 0.1, 20, 300, 32, 2_000),
    "paper": Sizes(3, 100, 40_000, 10_000, 32, 128, 3.5, 100, 400, 128, 2_000),
}


class Runs(NamedTuple):
    """Labels in the training set ``[E]``; accuracy by strategy ``[S, E]``; whether the images are those of MNIST."""

    labels: np.ndarray
    accuracy: dict[str, np.ndarray]
    is_mnist: bool
    protocol: str

    @property
    def acquired(self) -> np.ndarray:
        """Labels without those of the start."""
        return self.labels - PROTOCOLS[self.protocol].start


@method
def decayed_dropout(
    channels: int, hidden: int, decay: float, num_draws: int, num_steps: int, minibatch: int
) -> Learner:
    """Gal's network with the penalty ``decay / n ‖W‖²`` of its dense layer, n the labels in the training set.

    Predictions are `num_draws` of dropout, or one pass without it where that is 0. How it is trained does not hang on
    that: with the same labels and key it is the same network.
    """
    network = gal_cnn(10, (channels, channels), hidden=hidden) if channels else mlp((hidden,), 10, dropout=0.5)
    dense = lambda params: params["dense"] if channels else params["hidden"][0]
    drawn = mc_dropout(network, max(num_draws, 1))

    def fit(key: PRNGKey, state: DropoutState, data: Data) -> DropoutState:
        del state  # trained anew
        key_init, key_train, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(3))
        share = decay / jnp.maximum((data.weight > 0).sum(), 1)

        def loss(params: PyTree, x: Array, y: Array, key: PRNGKey) -> tuple[Float[Array, "n"], None]:
            outputs, _ = network.apply(params, x, key, shared=False)
            return categorical.loss(outputs, y) + share * jnp.square(dense(params)["kernel"]).sum(), None

        params = network.init(key_init, data.x)
        params = train(loss, optax.adam(1e-3), key_train, params, data, num_steps, minibatch)
        return DropoutState(params, jax.random.split(key_draws, max(num_draws, 1)))

    def one_pass(state: DropoutState, x: Array) -> Float[Array, "n 1 C"]:
        return categorical.predictions(network.apply(state.params, x)[0][None])

    return Learner(drawn.init, fit, drawn.predict if num_draws else one_pass)


def learner(sizes: Sizes, num_draws: int) -> Learner:
    """The network of a scale."""
    return decayed_dropout(sizes.channels, sizes.hidden, sizes.decay, num_draws, sizes.num_steps, sizes.minibatch)


def few_rows() -> Over:
    """Rows at a time: on a CPU so few that activations stay in cache."""
    return chunked(50 if jax.default_backend() == "cpu" else 1_000)


@cache
def accuracy_of_one_pass(one_pass: Learner, over: Over) -> Any:
    """``evaluate(posterior, test)``: what the network says without dropout, whatever it was asked by."""
    measure = classification(over)
    return lambda posterior, test: measure(Posterior(posterior.state, one_pass), test)


def candidates_first(of: Acquisition, size: int) -> Query:
    """Score `size` random rows of the pool, and take the best; those that tie in random order."""
    return Query((Stage(None, shortlist(size, random_uniform)), Stage(score(of), best)))


def setups(protocol: str, sizes: Sizes) -> dict[str, Setup]:
    """The five acquisition functions, on draws of dropout."""
    labels, model = PROTOCOLS[protocol], learner(sizes, sizes.num_draws)
    scores = {
        "bald": acquisition.bald,
        "variation-ratio": acquisition.vote_variation_ratio,
        "entropy": acquisition.predictive_entropy,
        "mean-std": acquisition.mean_std,
    }
    queries = {name: candidates_first(of, sizes.num_candidates) for name, of in scores.items()}
    queries["random"] = Query((Stage(None, random_uniform),))
    num_rounds = round(labels.rounds * sizes.num_rounds)
    measure = accuracy_of_one_pass(learner(sizes, 0), few_rows())
    setup = lambda query: Setup(model, query, labels.batch, num_rounds, evaluate=measure, over=few_rows())
    return {name: setup(query) for name, query in queries.items()}


def load() -> tuple[Dataset, bool]:
    """MNIST, or digits where it is missing; and whether it is MNIST."""
    try:
        return mnist(), True
    except MissingDataError as error:
        say(f"{error}\nthe 8 x 8 digits stand in: no claim can be judged")
        found = split(digits(), seed=0, num_test=597)
        assert found.x_test is not None
        return found._replace(x=found.x.reshape(-1, 8, 8, 1), x_test=found.x_test.reshape(-1, 8, 8, 1)), False


def run_setups(options: Options, protocol: str, sizes: Sizes, every: Mapping[str, Setup]) -> Runs:
    """Some set-ups over all seeds, or what is on record: pool and test are the same, the start set is a seed's own."""
    data, is_mnist = load()
    assert data.x_test is not None
    assert data.y_test is not None
    random = np.random.default_rng(0)
    keep, test = (random.permutation(len(x))[:size] for x, size in
                  ((data.x, sizes.num_pool), (data.x_test, sizes.num_test)))  # fmt: skip
    x = np.concatenate([data.x[keep], data.x_test[test]])
    y = np.concatenate([data.y[keep], data.y_test[test]]).astype(np.int32)
    pool, held_out = np.arange(len(x)) < len(keep), np.arange(len(keep), len(x))
    num_start = PROTOCOLS[protocol].start
    splits = [Split(pool, held_out, start_set(y[: len(keep)], num_start, seed)) for seed in range(sizes.num_seeds)]
    noted = {**sizes._asdict(), "num_seeds": 0}
    name = f"mc-dropout-mnist-{protocol}"
    curves = run_study(name, own_pools(x, y, splits), every, options, sizes.num_seeds, 5, noted)
    return Runs(np.asarray(curves.labels), curves.metrics["accuracy"], is_mnist, protocol)


def work(sizes: Sizes) -> float:
    """Products of the widest layers of all passes: an image that is trained on counts as three."""
    images = 3.0 * sizes.num_steps * sizes.minibatch + sizes.num_candidates * sizes.num_draws
    conv = 22**2 * 16 * sizes.channels**2 + 11**2 * sizes.channels * sizes.hidden
    return sizes.num_seeds * sizes.num_rounds * images * (conv or 28**2 * sizes.hidden)
