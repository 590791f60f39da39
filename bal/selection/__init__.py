"""Selectors: candidates in, a batch of picks out."""

from bal.selection.badge import badge
from bal.selection.bait import FisherRows, bait, pool_fisher, regression_fisher, softmax_fisher, sum_fisher
from bal.selection.batchbald import batchbald
from bal.selection.cluster_margin import average_linkage, cluster_margin
from bal.selection.confident_coreset import confident_coreset
from bal.selection.epig_batch import epig_batch
from bal.selection.frank_wolfe import frank_wolfe
from bal.selection.frank_wolfe_kernel import PoolRows, frank_wolfe_kernel, pool_rows
from bal.selection.gaussian_batch import gaussian_batch
from bal.selection.greedy import GreedyRule, greedy
from bal.selection.iht import sparse_iht
from bal.selection.integrated_variance import TargetRows, integrated_variance
from bal.selection.joint_entropy import BatchInformation, batch_information
from bal.selection.k_center import k_center
from bal.selection.k_means import k_means
from bal.selection.k_medoids import k_medoids
from bal.selection.kmeans_pp import kmeans_pp
from bal.selection.lcmd import lcmd
from bal.selection.max_det import max_det
from bal.selection.max_diag import max_diag
from bal.selection.mutual_information import mutual_information
from bal.selection.probcover import probcover, purity_radius
from bal.selection.ranked_batch import ScoredFeatures, ranked_batch
from bal.selection.sparse_features import (
    expected_gaussian_log_likelihoods,
    expected_log_likelihoods,
    gradient_rows,
    linear_features,
    pseudo_label_gradients,
)
from bal.selection.sparse_greedy import sparse_greedy
from bal.selection.sparse_products import (
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
from bal.selection.sparse_rows import PoolSums, SparseRows, pool_sums, sparse_rows, sum_rows
from bal.selection.stochastic import power, softmax, softrank
from bal.selection.top_k import Select, best, per_cost, random_uniform, shortlist
from bal.selection.transformed import transformed
from bal.selection.typiclust import typiclust

__all__ = [
    "BatchInformation",
    "FisherRows",
    "GreedyRule",
    "HeadRows",
    "LinearHead",
    "PoolRows",
    "PoolSums",
    "ScoredFeatures",
    "Select",
    "SparseRows",
    "TargetRows",
    "average_linkage",
    "badge",
    "bait",
    "batch_information",
    "batchbald",
    "best",
    "cluster_margin",
    "confident_coreset",
    "epig_batch",
    "expected_gaussian_log_likelihoods",
    "expected_log_likelihoods",
    "frank_wolfe",
    "frank_wolfe_kernel",
    "gaussian_batch",
    "gradient_rows",
    "greedy",
    "head_rows",
    "integrated_variance",
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
    "per_cost",
    "pool_fisher",
    "pool_rows",
    "pool_sums",
    "power",
    "probcover",
    "probit_fisher",
    "pseudo_label_gradients",
    "purity_radius",
    "random_uniform",
    "ranked_batch",
    "regression_fisher",
    "shortlist",
    "softmax",
    "softmax_fisher",
    "softrank",
    "sparse_greedy",
    "sparse_iht",
    "sparse_rows",
    "sum_fisher",
    "sum_rows",
    "transformed",
    "typiclust",
    "unknown_noise",
]
