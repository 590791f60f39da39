"""Selectors: candidates in, a batch of picks out."""

from bal.selection.arrays import select
from bal.selection.budget import additive, budgeted, one_per_group
from bal.selection.cover.badge import badge
from bal.selection.cover.cluster_margin import average_linkage, cluster_margin
from bal.selection.cover.confident_coreset import confident_coreset
from bal.selection.cover.k_center import k_center
from bal.selection.cover.k_means import k_means
from bal.selection.cover.k_medoids import k_medoids
from bal.selection.cover.kmeans_pp import kmeans_pp
from bal.selection.cover.lcmd import lcmd
from bal.selection.cover.probcover import probcover, purity_radius
from bal.selection.cover.ranked_batch import ScoredFeatures, ranked_batch
from bal.selection.cover.typiclust import typiclust
from bal.selection.errors import with_standard_errors
from bal.selection.information.batchbald import batchbald
from bal.selection.information.epig_batch import epig_batch
from bal.selection.information.gaussian_batch import gaussian_batch
from bal.selection.information.labelings import BatchInformation, batch_information
from bal.selection.inverse_gap import inverse_gap
from bal.selection.ranking import best, per_cost, random_uniform, shortlist
from bal.selection.rules.greedy import Greedy, greedy
from bal.selection.sparse.features import (
    expected_gaussian_log_likelihoods,
    expected_log_likelihoods,
    linear_features,
    pseudo_label_gradients,
)
from bal.selection.sparse.frank_wolfe import frank_wolfe
from bal.selection.sparse.frank_wolfe_kernel import PoolRows, frank_wolfe_kernel
from bal.selection.sparse.greedy import sparse_greedy
from bal.selection.sparse.iht import sparse_iht
from bal.selection.sparse.products import (
    HeadRows,
    LinearHead,
    head_rows,
    known_noise,
    linear_euclidean,
    linear_fisher,
    logistic_fisher,
    probit_fisher,
    unknown_noise,
)
from bal.selection.sparse.rows import PoolSums, SparseRows, sum_rows
from bal.selection.stochastic import power, softmax, softrank
from bal.selection.transformed import transformed
from bal.selection.variance.bait import FisherRows, bait, regression_fisher, softmax_fisher, sum_fisher
from bal.selection.variance.integrated_variance import TargetRows, integrated_variance
from bal.selection.variance.max_det import max_det
from bal.selection.variance.max_diag import max_diag
from bal.selection.variance.sensor_placement import mutual_information

__all__ = [
    "BatchInformation",
    "FisherRows",
    "Greedy",
    "HeadRows",
    "LinearHead",
    "PoolRows",
    "PoolSums",
    "ScoredFeatures",
    "SparseRows",
    "TargetRows",
    "additive",
    "average_linkage",
    "badge",
    "bait",
    "batch_information",
    "batchbald",
    "best",
    "budgeted",
    "cluster_margin",
    "confident_coreset",
    "epig_batch",
    "expected_gaussian_log_likelihoods",
    "expected_log_likelihoods",
    "frank_wolfe",
    "frank_wolfe_kernel",
    "gaussian_batch",
    "greedy",
    "head_rows",
    "integrated_variance",
    "inverse_gap",
    "k_center",
    "k_means",
    "k_medoids",
    "kmeans_pp",
    "known_noise",
    "lcmd",
    "linear_euclidean",
    "linear_features",
    "linear_fisher",
    "logistic_fisher",
    "max_det",
    "max_diag",
    "mutual_information",
    "one_per_group",
    "per_cost",
    "power",
    "probcover",
    "probit_fisher",
    "pseudo_label_gradients",
    "purity_radius",
    "random_uniform",
    "ranked_batch",
    "regression_fisher",
    "select",
    "shortlist",
    "softmax",
    "softmax_fisher",
    "softrank",
    "sparse_greedy",
    "sparse_iht",
    "sum_fisher",
    "sum_rows",
    "transformed",
    "typiclust",
    "unknown_noise",
    "with_standard_errors",
]
