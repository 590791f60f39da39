"""Active learning by a cheap model for an expensive one: features to choose by, a network to fine-tune.

`svp` and `asvp` are the loops, `fine_tuned` is the expensive learner, `logme` and `ped` look at features, `when_flat`,
`at_labels` and `never` say when these are aligned; `spent` adds up operations, seconds, labels and money.
"""

from bal.proxies.costs import Cost, Spent, costs_of, round_flops, spent
from bal.proxies.fine_tuning import Backbone, Tuned, fine_tuned, of_network
from bal.proxies.flops import Flops, flops
from bal.proxies.images import image_backbone, image_rows
from bal.proxies.logme import Evidence, evidence, logme
from bal.proxies.ped import ped
from bal.proxies.selecting import Selected, asvp, svp
from bal.proxies.switch import aligned_logme, at_labels, by_evidence, never, when_flat
from bal.proxies.texts import text_backbone, text_rows
from bal.proxies.training import trained_on

__all__ = [
    "Backbone",
    "Cost",
    "Evidence",
    "Flops",
    "Selected",
    "Spent",
    "Tuned",
    "aligned_logme",
    "asvp",
    "at_labels",
    "by_evidence",
    "costs_of",
    "evidence",
    "fine_tuned",
    "flops",
    "image_backbone",
    "image_rows",
    "logme",
    "never",
    "of_network",
    "ped",
    "round_flops",
    "spent",
    "svp",
    "text_backbone",
    "text_rows",
    "trained_on",
    "when_flat",
]
