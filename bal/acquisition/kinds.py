"""What each score takes, checked by kind and shape where it is called or traced; values are checked elsewhere.

A score of one's own needs none of this: it is a courtesy to who hands `bald` the predictions of a regression.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from bal.numerics import normalized
from bal.typing import Gaussian, Latent, MultiLabel, Tags

_INSTEAD = {
    Gaussian: "a Gaussian: use a score of Gaussian predictions, such as gaussian_bald",
    Latent: "a Latent: use a score of a probit classifier's latents, such as probit_bald",
    MultiLabel: "a MultiLabel: use labels_bald, or over_labels(score) for another score of each label",
    Tags: "Tags of sentences: use bal.tagging.mean_over_words(score), or bal.tagging.mnlp",
}


def check_log_probs(name: str, log_probs: Any, rows: str = "rows") -> None:
    """Refuse what is not an array of log probabilities ``[rows, draws, classes]``."""
    needs = f"{name} needs log probabilities [{rows}, draws, classes]"
    _check_array(needs, log_probs, 3, {2: "add the axis of draws, log_probs[:, None]"})


def check_moments(name: str, prediction: Any, kind: type = Gaussian, rows: str = "rows") -> None:
    """Refuse what is not a `Gaussian` (or a `Latent`) with leaves ``[rows, draws]``."""
    needs = f"{name} needs a {kind.__name__} with leaves [{rows}, draws]"
    if not isinstance(prediction, kind):
        raise TypeError(f"{needs}; got {_found(prediction)}")
    hints = {1: "add the axis of draws, leaf[:, None]", 3: "for several outputs wrap the score in over_outputs"}
    for leaf in prediction:
        _check_array(needs, leaf, 2, hints)


def check_multi_label(name: str, prediction: Any) -> None:
    """Refuse what is not a `MultiLabel` of log odds ``[rows, draws, labels]``."""
    needs = f"{name} needs a MultiLabel of log odds [rows, draws, labels]"
    if not isinstance(prediction, MultiLabel):
        raise TypeError(f"{needs}; got {_found(prediction)}")
    _check_array(needs, prediction.log_odds, 3, {2: "add the axis of draws, log_odds[:, None]"})


def check_tags(name: str, prediction: Any) -> None:
    """Refuse what is not `Tags` of log probabilities ``[rows, draws, words, tags]``."""
    needs = f"{name} needs Tags of log probabilities [rows, draws, words, tags]"
    if not isinstance(prediction, Tags):
        raise TypeError(f"{needs}; got {_found(prediction)}")
    _check_array(needs, prediction.log_probs, 4, {3: "add the axis of draws, log_probs[:, None]"})


def check_matrix(name: str, what: str, x: Any) -> tuple[int, int]:
    """Refuse what is not an array of two axes, and return its shape."""
    _check_array(f"{name} needs {what}", x, 2, {})
    return x.shape


def check_shape(name: str, what: str, x: Any, shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape, also one that would broadcast."""
    if jnp.shape(x) != shape:
        raise ValueError(f"{name} needs {what} of shape {shape}; got shape {jnp.shape(x)}")


def check_draws(num_draws: int, num_target_draws: int) -> None:
    """Refuse targets that were predicted by other draws than the pool."""
    if num_draws != num_target_draws:
        raise ValueError(
            "pool and targets must be predicted by the same posterior draws, got "
            f"{num_draws} and {num_target_draws} of them"
        )


def target_weights(name: str, weight: ArrayLike | None, num_targets: int, dtype: Any) -> Array:
    """Importance of targets ``[M]``, normalized; all equal unless given."""
    if weight is None:
        return jnp.full(num_targets, 1.0 / num_targets, dtype)
    check_shape(name, "one weight per target, an array", weight, (num_targets,))
    return normalized(jnp.asarray(weight)).astype(dtype)


def _check_array(needs: str, x: Any, rank: int, hints: dict[int, str]) -> None:
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{needs}; got {_found(x)}")
    if x.ndim != rank:
        hint = hints.get(x.ndim)
        raise ValueError(f"{needs}; got shape {x.shape}" + (f": {hint}" if hint else ""))


def _found(x: Any) -> str:
    for kind, text in _INSTEAD.items():
        if isinstance(x, kind):
            return text
    if not hasattr(x, "dtype"):
        return f"a {type(x).__name__}"
    if x.ndim == 3 and jnp.issubdtype(x.dtype, jnp.floating):
        return f"an array of shape {x.shape}: for log probabilities use a score such as bald"
    return f"an array of {x.dtype} and shape {x.shape}"
