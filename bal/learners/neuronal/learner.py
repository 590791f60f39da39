"""NeurONAL's networks as a learner for pools."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

from bal.learners.neuronal.embeddings import paper_embedding
from bal.learners.neuronal.networks import Embedding, Networks, class_losses, losses, outputs, start
from bal.learners.restart import Restart, warm
from bal.learners.settings import check_count
from bal.learners.training import train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class NeuronalState(NamedTuple):
    """Weights of both networks."""

    networks: Networks


@method
def neuronal(
    num_classes: int,
    *,
    width: int = 100,
    embedding: Embedding = paper_embedding,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = warm,
) -> Learner:
    """Two networks whose sum scores classes by their expected loss: ``log_probs [N, 1, C] = log softmax(-(f1 + f2))``.

    ``f1(x)`` predicts the 0-1 loss of each class, ``f2(φ(x))`` what f1 gets wrong, from an embedding of f1; both by
    squares. The class of least score is the prediction. Probabilities are only scores in another form, so that the gap
    of the two least is the difference of the two largest log probabilities (`bal.acquisition.log_margin`): they are not
    calibrated, and one draw has no `bald`.

    Both networks are trained together on minibatches, f2 on what the f1 of now gets wrong, so that on labels learned by
    heart f1 + f2 are the losses themselves. (The authors' code teaches f2 what f1 got wrong when the label came.)

    Use it with `bal.strategies.neuronal_p`, and rows of unit norm, for which the first weights are made.

    Args:
      num_classes: C.
      width: m, hidden units of each network.
      embedding: `paper_embedding`, `gradient_embedding` or `block_embedding(51)` of `bal.learners.neuronal`.
      optimizer: Adam at 1e-4, as in the authors' code, unless given; its state starts anew every round.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `warm`, as published, `cold` or `shrink_and_perturb(...)`.

    Raises:
      ValueError: a setting out of range.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> learner = neuronal(3, width=8, num_steps=2)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 2, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 1, 3)

    Ban et al. 2024, "Neural Active Learning Beyond Bandits" (ICLR).
    """
    check_count("num_classes", num_classes, least=2)
    check_count("width", width)
    check_count("num_steps", num_steps, least=0)
    check_count("minibatch_size", minibatch_size)
    optimizer = optax.adam(1e-4) if optimizer is None else optimizer

    def loss(networks: Networks, x: Array, y: Array, key: PRNGKey) -> tuple[Float[Array, "n"], PyTree]:
        del key
        found = outputs(networks, flat(x), embedding)
        return losses(found, class_losses(y, num_classes, found.exploit.dtype)), None

    def init(key: PRNGKey, data: Data) -> NeuronalState:
        return NeuronalState(start(key, flat(data.x), num_classes, width, embedding))

    def fit(key: PRNGKey, state: NeuronalState, data: Data) -> NeuronalState:
        key_start, key_train = jax.random.split(key)
        networks = restart(state.networks, start(key_start, flat(data.x), num_classes, width, embedding))
        return NeuronalState(train(loss, optimizer, key_train, networks, data, num_steps, minibatch_size))

    def predict(state: NeuronalState, x: PyTree) -> Float[Array, "N 1 C"]:
        return jax.nn.log_softmax(-outputs(state.networks, flat(x), embedding).scores, -1)[:, None]

    def embed(state: NeuronalState, x: PyTree) -> Float[Array, "N 1 F"]:
        return outputs(state.networks, flat(x), embedding).embedding[:, None]

    return Learner(init, fit, predict, embed)


def flat(x: ArrayLike) -> Float[Array, "n D"]:
    """One vector of floating-point numbers a row."""
    x = jnp.asarray(x)
    return x.reshape(len(x), -1).astype(jnp.promote_types(x.dtype, jnp.float32))
