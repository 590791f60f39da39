"""The few-sample sanity protocol: checks before a sentence is written about 100 labels.

Do the features that strategies choose by have anything to do with performance (`assumption_check`, on subsets of
`random_subsets` and `window_subsets`); how much of the variance is the choice of rows at all, rather than their order,
initial weights or dropout (`variance_components`); has a slice become worse while the average improved
(`silent_regressions`); are test rows among those that are trained on (`contamination`). Beside them stand what holds
for every study: random as baseline, ten paired seeds at least, and `bal.evaluation.comparison_table`.
"""

from bal.evaluation.protocol.assumptions import Assumption, AssumptionCheck, assumption_check
from bal.evaluation.protocol.components import Component, variance_components
from bal.evaluation.protocol.contamination import Twins, contamination
from bal.evaluation.protocol.designs import random_subsets, subset_means, window_subsets
from bal.evaluation.protocol.regressions import SliceChange, silent_regressions

__all__ = [
    "Assumption",
    "AssumptionCheck",
    "Component",
    "SliceChange",
    "Twins",
    "assumption_check",
    "contamination",
    "random_subsets",
    "silent_regressions",
    "subset_means",
    "variance_components",
    "window_subsets",
]
