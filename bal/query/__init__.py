"""A query is a funnel of stages; here is everything that plugs into one: row functions and context functions."""

from bal.query.about_targets import (
    alc_scores,
    epig_scores,
    jepig_scores,
    score_about,
)
from bal.query.functionals import Functionals, functional_scores, functional_targets
from bal.query.funnel import by_score, run_query
from bal.query.gradients import last_layer_gradients, layer_gradients, sketched
from bal.query.pool_sums import pool_fisher, pool_rows, pool_sums
from bal.query.remembered import Remembered, remembered
from bal.query.rows import (
    embeddings,
    features,
    fisher_rows,
    gradient_rows,
    inputs,
    key_context,
    posterior_context,
    predictions,
    score,
    scored_features,
    sparse_rows,
)
from bal.query.synthesis import propose
from bal.query.targets import (
    Targets,
    class_prior,
    joint_targets,
    pool_targets,
    sampled_targets,
    target_rows,
    targets,
)
from bal.query.whom import Annotator, answer_scores, ask_whom, noisy_annotator, questions, split_questions
from bal.typing import Query, Stage

__all__ = [
    "Annotator",
    "Functionals",
    "Query",
    "Remembered",
    "Stage",
    "Targets",
    "alc_scores",
    "answer_scores",
    "ask_whom",
    "by_score",
    "class_prior",
    "embeddings",
    "epig_scores",
    "features",
    "fisher_rows",
    "functional_scores",
    "functional_targets",
    "gradient_rows",
    "inputs",
    "jepig_scores",
    "joint_targets",
    "key_context",
    "last_layer_gradients",
    "layer_gradients",
    "noisy_annotator",
    "pool_fisher",
    "pool_rows",
    "pool_sums",
    "pool_targets",
    "posterior_context",
    "predictions",
    "propose",
    "questions",
    "remembered",
    "run_query",
    "sampled_targets",
    "score",
    "score_about",
    "scored_features",
    "sketched",
    "sparse_rows",
    "split_questions",
    "target_rows",
    "targets",
]
