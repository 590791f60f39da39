"""Few parameters trained beside frozen ones, and ensembles of them as learners."""

from bal.adapters.counting import ia3_size, inference_flops, training_flops
from bal.adapters.ensemble import adapter_ensemble
from bal.adapters.ia3 import ia3, init_ia3, merge_ia3
from bal.adapters.lora import draw_lora, init_lora, lora, merge_lora
from bal.adapters.network import TokenStates, Upper, adapted, full, head_only, upper
from bal.adapters.places import Adapter, count_parameters, places_of
from bal.adapters.tfb import tfb
from bal.adapters.tfew import (
    beta,
    length_normalized_loss,
    lm_loss,
    rank,
    tfew_loss,
    tfew_optimizer,
    unlikelihood_loss,
)
from bal.adapters.tuning import only, tune

__all__ = [
    "Adapter",
    "TokenStates",
    "Upper",
    "adapted",
    "adapter_ensemble",
    "beta",
    "count_parameters",
    "draw_lora",
    "full",
    "head_only",
    "ia3",
    "ia3_size",
    "inference_flops",
    "init_ia3",
    "init_lora",
    "length_normalized_loss",
    "lm_loss",
    "lora",
    "merge_ia3",
    "merge_lora",
    "only",
    "places_of",
    "rank",
    "tfb",
    "tfew_loss",
    "tfew_optimizer",
    "training_flops",
    "tune",
    "unlikelihood_loss",
    "upper",
]
