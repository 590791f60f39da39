"""A committee that says what a table says, and what modAL finds of it."""

import numpy as np

LOGITS = np.array([[0, 1, 2, 3, 1], [1, 3, 0, 2, 2], [4, 1, 1, 0, 3], [2, 2, 0, 1, 0]], float)
TURNED = [LOGITS, 0.7 * LOGITS + 0.4 * np.roll(LOGITS, 1, 1), 0.5 * LOGITS + np.roll(LOGITS, 2, 1)]
PROBS = np.stack([np.exp(logits) / np.exp(logits).sum(-1, keepdims=True) for logits in TURNED], 1)
"""Probabilities ``[4, 3, 5]`` of four rows, three members and five classes."""

ONE = {
    "least_confidence": [0.407701214285, 0.479405607006, 0.326947961571, 0.621003961607],
    "margin": [0.37440423942, 0.329078418622, 0.425450030653, 0.0],
    "predictive_entropy": [1.15074076823, 1.25448219066, 0.8938998765, 1.31482052236],
}
"""Of the first member, by modAL 0.4.2.1: `classifier_uncertainty`, `classifier_margin`, `classifier_entropy`."""

ALL = {
    "vote_entropy": [0.636514168295, 0.636514168295, 0.636514168295, 1.09861228867],
    "predictive_entropy": [1.42619460856, 1.4087951674, 1.30595078824, 1.4807561831],
    "max_consensus_kl": [0.241892743204, 0.190948143998, 0.580885584422, 0.216468691267],
}
"""Of the committee, by modAL 0.4.2.1: `vote_entropy`, `consensus_entropy`, `KL_max_disagreement`."""
