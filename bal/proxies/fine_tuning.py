"""A pretrained network that is trained further on the labeled rows, as a learner: FT, and LP-FT."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bal.learners.likelihood import categorical
from bal.learners.networks import Network
from bal.learners.settings import check_count, named
from bal.learners.training import train
from bal.method import method
from bal.numerics import dot, in_row_blocks
from bal.typing import Data, Learner, PRNGKey, PyTree


@dataclass(eq=False)
class Backbone:
    """A pretrained network up to its features: ``apply(params, x, key) -> [n, F]``, row-wise.

    params: what fine-tuning moves, a tree of arrays; whatever stays frozen is held by `apply`, or has been applied to
    the rows `x` beforehand. key: of training, for dropout; None elsewhere. name: what it is called.

    It is equal to nothing but itself, since it holds its weights.
    """

    params: PyTree
    apply: Callable[[PyTree, PyTree, PRNGKey | None], Float[Array, "n F"]]
    name: str

    def __repr__(self) -> str:
        return f"{self.name} ({sum(np.size(leaf) for leaf in jax.tree.leaves(self.params)):,} parameters)"


class Tuned(NamedTuple):
    """State of a fine-tuned network: where it starts, backbone and head as trained."""

    start: PyTree
    backbone: PyTree
    head: PyTree


def of_network(network: Network, params: PyTree) -> Backbone:
    """A trained network of `bal.learners` as a backbone: its features, the layer before its outputs.

    Use it where a small network stands for the pretrained one: trained on another task, or on other rows.

    >>> from bal.learners import mlp
    >>> net = mlp((8,), num_outputs=2)
    >>> x = jnp.ones((3, 4))
    >>> backbone = of_network(net, jax.jit(net.init)(jax.random.key(0), x))
    >>> backbone.apply(backbone.params, x, None).shape
    (3, 8)
    """

    def apply(params: PyTree, x: PyTree, key: PRNGKey | None) -> Float[Array, "n F"]:
        features = network.apply(params, x, key, shared=False)[1]
        if features is None:
            raise ValueError("this network has no features to put a head on; name a layer: network(Net, features=...)")
        return features

    return Backbone(params, apply, "network")


@method
def fine_tuned(
    backbone: Backbone,
    num_classes: int,
    *,
    num_steps: int = 100,
    num_probe_steps: int = 0,
    minibatch_size: int = 16,
    optimizer: optax.GradientTransformation | None = None,
    head_optimizer: optax.GradientTransformation | None = None,
    block: int = 64,
) -> Learner:
    """A softmax head on pretrained features, and both trained on the labels: ``predict`` gives ``log_probs [N, 1, C]``.

    Each fit starts from the pretrained weights (cold), in minibatches of the fixed-capacity buffer. FT: head and
    backbone together, each with its optimizer. LP-FT, with `num_probe_steps`: first the head alone, on the features of
    the pretrained backbone, then both; a head that knows the features does not distort them. ``num_steps=0`` leaves the
    probe. Features are scaled to length √F, row by row, so that one step size suits all backbones; ``embed`` gives them
    as ``[N, 1, F]``, and those of a state that was not fitted yet are the pretrained ones.

    Use it as the target of `bal.proxies.svp` and `asvp`, whose proxy chooses rows at a small part of the cost, or as
    the learner itself where that can be afforded. One draw: the posterior knows no disagreement.

    Args:
      backbone: pretrained. num_classes: C.
      num_steps, num_probe_steps: of both together, and of the head alone before.
      minibatch_size: rows of a step.
      optimizer, head_optimizer: of the backbone and of the head; AdamW at 1e-4 and Adam at 1e-2 unless given.
      block: rows that go through the backbone at a time in `predict` and `embed`.

    Raises:
      ValueError: a setting out of range; labels that are no classes.
      TypeError: a backbone or an optimizer that is none.

    Kumar, Raghunathan, Jones, Ma, Liang 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution".
    """
    if not isinstance(backbone, Backbone):
        raise TypeError(f"expected a Backbone, got {named(backbone)}; make one by bal.proxies.text_backbone(encoder)")
    for name, count, least in (
        ("num_classes", num_classes, 2),
        ("num_steps", num_steps, 0),
        ("num_probe_steps", num_probe_steps, 0),
        ("minibatch_size", minibatch_size, 1),
        ("block", block, 1),
    ):
        check_count(name, count, least=least)
    for given in (optimizer, head_optimizer):
        if given is not None and not hasattr(given, "update"):
            raise TypeError(f"expected an optimizer of optax, got {named(given)}; use optax.adam(1e-3), say")
    head_moves = optax.adam(1e-2) if head_optimizer is None else head_optimizer
    both_move = optax.multi_transform(
        {"backbone": optax.adamw(1e-4) if optimizer is None else optimizer, "head": head_moves},
        {"backbone": "backbone", "head": "head"},
    )

    def features(params: PyTree, x: PyTree, key: PRNGKey | None = None) -> Float[Array, "n F"]:
        rows = backbone.apply(params, x, key)
        return rows * jax.lax.rsqrt(jnp.mean(rows**2, -1, keepdims=True) + 1e-12)

    def probe_loss(head: PyTree, rows: Array, y: Array, key: PRNGKey) -> tuple[Array, None]:
        del key
        return categorical.loss(_logits(head, rows), y), None

    def loss(both: PyTree, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, None]:
        return categorical.loss(_logits(both["head"], features(both["backbone"], x, key)), y), None

    def new_head(key: PRNGKey, x: PyTree) -> PyTree:
        size = jax.eval_shape(features, backbone.params, x).shape[1]
        kernel = jax.random.normal(key, (size, num_classes)) / jnp.sqrt(size)
        return {"kernel": kernel, "bias": jnp.zeros(num_classes)}

    def init(key: PRNGKey, data: Data) -> Tuned:
        start = jax.tree.map(jnp.asarray, backbone.params)
        return Tuned(start, start, new_head(key, data.x))

    def fit(key: PRNGKey, state: Tuned, data: Data) -> Tuned:
        key_head, key_probe, key_train = (jax.random.fold_in(key, purpose) for purpose in range(3))
        both = {"backbone": state.start, "head": new_head(key_head, data.x)}
        if num_probe_steps:
            rows = in_row_blocks(lambda x: features(state.start, x), data.x, block)
            probed = data._replace(x=rows)
            both["head"] = train(
                probe_loss, head_moves, key_probe, both["head"], probed, num_probe_steps, minibatch_size
            )
        both = train(loss, both_move, key_train, both, data, num_steps, minibatch_size)
        return Tuned(state.start, **both)

    def predict(state: Tuned, x: PyTree) -> Float[Array, "n 1 C"]:
        one_block = lambda x: jax.nn.log_softmax(_logits(state.head, features(state.backbone, x)))
        return in_row_blocks(one_block, x, block)[:, None]

    def embed(state: Tuned, x: PyTree) -> Float[Array, "n 1 F"]:
        return in_row_blocks(lambda x: features(state.backbone, x), x, block)[:, None]

    return Learner(init, fit, predict, embed)


def _logits(head: Any, rows: Float[Array, "n F"]) -> Float[Array, "n C"]:
    return dot(rows, head["kernel"]) + head["bias"][None]
