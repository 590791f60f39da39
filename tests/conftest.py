"""Strict settings for every test: no silent broadcasting of ranks, two host devices, shapes checked at every call.

Shapes are checked by the option ``--jaxtyping-packages`` in pyproject.toml. Compiled programs of the scripts that tests
start are kept for the length of the test run: many of them compile the same experiment.
"""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
CACHE = Path(tempfile.gettempdir()) / f"bal-tests-{RUN}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
# a tenth of the time, here and in processes that tests start: nobody looks up where lines of programs came from
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
os.environ["JAX_INCLUDE_FULL_TRACEBACKS_IN_LOCATIONS"] = "0"
os.environ.setdefault("MPLBACKEND", "agg")
# most of the time goes into compiling small programs; `XLA_FLAGS= pytest` compiles them as users do
QUICK = (
    *("backend_optimization_level=0", "llvm_disable_expensive_passes=true", "cpu_use_fusion_emitters=false"),
    "cpu_parallel_codegen_split_count=1",  # one LLVM module a program: two thirds of the time of several
)
os.environ.setdefault("XLA_FLAGS", " ".join(f"--xla_{flag}" for flag in QUICK))
# some sixty processes that tests start import `bal`: compiled once, and not a second in each of them
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two processes on two cores: more threads would fight

import jax  # noqa: E402 - the variables above are read at import
import pytest  # noqa: E402
import started  # noqa: E402

if jax.config.jax_num_cpu_devices != 2:  # docs/deviations.py has set it before
    jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_compilation_cache", False)  # in this process nearly every program is another
jax.config.update("jax_numpy_rank_promotion", "raise")


LONG_EXAMPLES = {  # a third of a second of compilation to three, of what other default tests call
    *("bilevel.embedding.contrastive", "bilevel.ridge.ridge_coreset", "bilevel.softmax.softmax_coreset"),
    *("bilevel.embedding.principal_components", "bilevel.nystrom.nystrom", "bilevel.weights.weighted_coreset"),
    *("learners.ensemble.tapped_members", "learners.epinet.epinet", "learners.gp.classification.gp_classification"),
    *("learners.gp.hyperparameters.maximum_likelihood", "learners.gp.pathwise.gp_regression_draws"),
    *(
        "pairs.campaign.PairCampaign",
        "pairs.drawing.random_pairs",
        "pairs.loop.run_pairs",
        "pairs.networks.reward_network",
    ),
    *("pairs.head.linear_reward", "pairs.processes.gp_reward", "pairs.processes.difference_process"),
    *("learners.gp.softmax.gp_softmax", "learners.gp.sparse.sparse_gp", "learners.heads.linear.normal_inverse_gamma"),
    *("learners.heads.neural_linear.neural_linear", "learners.heads.softmax.bayesian_softmax"),
    *("learners.laplace.learner.laplace", "learners.likelihood.mixture_density", "learners.sampled.mile.mile"),
    *("learners.sampled.program.from_numpyro", "learners.sampled.weights.mcmc", "selection.cover.badge.badge"),
    *("selection.cover.k_means.k_means", "selection.cover.k_medoids.k_medoids", "selection.cover.kmeans_pp.kmeans_pp"),
    *("selection.cover.typiclust.typiclust", "selection.errors.with_standard_errors"),
    *("learned.ranking.adapt", "learned.ranking.bilevel_ranker", "learned.deep_sets.deep_sets"),
    *("learned.environment.play", "loop.study.study", "stream.campaign.StreamCampaign"),
    *("testing.acquisitions.check_acquisition", "testing.learners.check_learner", "testing.queries.check_query"),
    *("testing.rules.check_rule", "proxies.images.image_backbone", "proxies.texts.text_backbone"),
    *("tagging.crf.log_marginals", "tagging.crf.log_partition", "tagging.crf.sequence_score", "tagging.crf.viterbi"),
    *("tagging.budget.random_first", "tagging.budget.until_spent", "tagging.scores.sum_over_words"),
    *("tagging.spans.span_counts", "tagging.tagger.tagger", "tagging.words.encoded"),
    *("selection.information.batchbald.batchbald", "selection.information.epig_batch.epig_batch"),
    *("selection.information.labelings.batch_information", "selection.sparse.frank_wolfe.frank_wolfe"),
    *("selection.sparse.iht.sparse_iht", "selection.variance.bait.bait"),
    *("acquisition.annotated.annotated_bald", "acquisition.multilabel.over_labels", "labeling.desk.Desk"),
    *("learned.policy.policy_scores", "learned.subsets.draw_subsets", "learners.ensemble.ensemble"),
    *("learners.gp.pathwise.gp_classification_draws", "learners.networks.network", "learners.networks.network.mlp"),
    *("loop.campaign.Campaign", "loop.peeking.greedy_oracle"),
    *("pairs.loop.simulated_answers", "pairs.rewards.rewards"),
    *("query.synthesis.propose", "selection.budget.budgeted", "selection.cover.lcmd.lcmd"),
    *("selection.inverse_gap.inverse_gap", "simulators.burgers.burgers", "simulators.burgers.interpolated"),
    *("simulators.errors.solution_errors", "simulators.random_features.random_features", "strategies"),
    *("kernels.tanimoto.tanimoto", "learners.augmentation.shift", "learners.mean_field.mean_field"),
    *("learners.networks.network.network", "learners.shared_weights.batch_ensemble", "learners.vbll.vbll"),
    *("learners.shared_weights.masksembles", "learners.vbll.vbll_regression", "selection.arrays.select"),
    *("selection.cover.probcover.probcover", "selection.information.gaussian_batch.gaussian_batch"),
    *("selection.sparse.frank_wolfe_kernel.frank_wolfe_kernel", "selection.sparse.greedy.sparse_greedy"),
    *("selection.stochastic.power", "selection.stochastic.softmax", "selection.stochastic.softrank"),
    *("stream.committee.drawn_rows",),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Long examples are slow tests, before slow tests are left out."""
    for item in items:
        if item.name.removeprefix("bal.") in LONG_EXAMPLES:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session):
    """What is imported by now stays: the garbage collector need not look at it after every compilation."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Starts Python processes as a user does."""
    with started.server(tmp_path_factory.mktemp("processes")) as server:
        yield server


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(CACHE, ignore_errors=True)
        for folder in CACHE.parent.glob(f"bal-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', RUN)}*"):
            shutil.rmtree(folder, ignore_errors=True)
