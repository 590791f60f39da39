"""What training will do to features, guessed without training: classes that overlap are pushed apart."""

import numpy as np
from jaxtyping import Float

from bal.learners.settings import check_count, check_factor
from bal.proxies.labels import check_features, class_numbers
from bal.typing import Values


def ped(
    features: Values,
    y: Values,
    *,
    reach: float = 0.6,
    stiffness: float = 1.0,
    time: float = 0.1,
    num_steps: int = 6,
) -> Float[np.ndarray, "n D"]:
    """Features after a few steps of a mechanics in which overlapping classes repel each other (PED).

    Features are standardized. Class c is a ball around its mean ``m_c`` of radius ``R_c = √Σ_d var_cd``. Two classes
    overlap by ``F_ij = max(reach (R_i + R_j) - |m_i - m_j|, 0)``, and each moves by ``min(½ time² stiffness F_ij,
    F_ij)``, in opposite directions along the line between their means, with all of its rows; a class adds up what all
    others do to it. Steps end after `num_steps`, or once all movement is less than half of the first step's. Then the
    standardization is undone. Classes that do not overlap are left exactly as they are. Two classes that overlap are
    further apart afterwards; of more, two may be squeezed together by what the others do to them.

    With the default settings of the paper a step is 1/200 of the overlap: a small move in the direction of training.

    Use it before `logme`, as the paper does, to score features as fine-tuning would leave them.

    Args:
      features: of the labeled rows. y: class numbers.
      reach: how many radii a class reaches; the paper has 0.3 and 0.6.
      stiffness, time: k and t of a spring at rest, ``½ k F t²``.
      num_steps: the most steps.

    Raises:
      ValueError: features that are not finite or not ``[n, D]``, labels that are no class numbers, settings out of
        range.

    >>> x = np.array([[0.0], [0.2], [0.3], [0.5]])
    >>> moved = ped(x, [0, 0, 1, 1], reach=2.0)
    >>> bool(moved[2, 0] - moved[0, 0] > 0.3), bool((ped(x, [0, 0, 1, 1], reach=0.01) == x).all())
    (True, True)

    Li, Hu, Ge, Shan, Duan 2023, "Exploring Model Transferability through the Lens of Potential Energy".
    """
    for name, value in (("reach", reach), ("stiffness", stiffness), ("time", time)):
        check_factor(name, value)
    check_count("num_steps", num_steps)
    features = check_features(features)
    classes, own = np.unique(class_numbers(y, len(features)), return_inverse=True)
    spread = features.std(0)
    spread[spread == 0] = 1.0
    rows = (features - features.mean(0)) / spread
    of_class = [rows[own == number] for number in range(len(classes))]
    radius = np.array([np.sqrt(some.var(0).sum()) for some in of_class])
    start = np.stack([some.mean(0) for some in of_class])
    means, first = start.copy(), None
    for _ in range(num_steps):
        apart = np.stack([np.linalg.norm(means - mean, axis=1) for mean in means])
        overlap = np.maximum(reach * (radius[:, None] + radius) - apart, 0.0)
        overlap[apart == 0] = 0.0  # a class and itself, and means that coincide: no direction
        step = np.minimum(0.5 * time**2 * stiffness * overlap, overlap)
        moved = step.sum()
        if moved == 0:
            break
        pull = step / np.where(apart == 0, 1.0, apart)
        means = means + pull.sum(1, keepdims=True) * means - pull @ means
        first = moved if first is None else first
        if moved < first / 2:
            break
    return features if first is None else features + ((means - start) * spread)[own]
