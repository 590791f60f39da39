"""Slow, readable float64 versions of every quantity, written from the definitions.

Loops, `math` and `math.fsum` only: no log-sum-exp, no series, no trick that the fast versions use, so that a
shared mistake is unlikely. `log_probs` is ``[N, K, C]``: N rows, K draws, C classes. Scores are in nats.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import integrate, special, stats


def xlogx(p: float) -> float:
    """p log p, continued by its limit 0 at p = 0."""
    return 0.0 if p == 0.0 else p * math.log(p)


def entropy(p: Sequence[float]) -> float:
    """H[p] = -Σ p log p."""
    return -math.fsum(xlogx(float(value)) for value in p)


def mean(values: Sequence[float]) -> float:
    return math.fsum(float(value) for value in values) / len(values)


def probabilities(log_probs) -> np.ndarray:
    return np.exp(np.asarray(log_probs, np.float64))


def consensus(row: np.ndarray) -> list[float]:
    """p̄_c = mean_k p_kc of one row [K, C]."""
    return [mean(row[:, c]) for c in range(row.shape[1])]


def kl(p: Sequence[float], q: Sequence[float]) -> float:
    """KL(p ‖ q) = Σ p log(p / q), a term with p = 0 being 0."""
    return math.fsum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, q) if a > 0)


def by_row(quantity, log_probs) -> np.ndarray:
    return np.array([quantity(row) for row in probabilities(log_probs)])


def predictive_entropy(log_probs) -> np.ndarray:
    """H[p̄]."""
    return by_row(lambda row: entropy(consensus(row)), log_probs)


def expected_entropy(log_probs) -> np.ndarray:
    """mean_k H[p_k]."""
    return by_row(lambda row: mean([entropy(draw) for draw in row]), log_probs)


def bald(log_probs) -> np.ndarray:
    """H[p̄] - mean_k H[p_k]."""
    return predictive_entropy(log_probs) - expected_entropy(log_probs)


def corrected_bald(log_probs) -> np.ndarray:
    """BALD K / (K - 1): removes the leading bias of K draws."""
    num_draws = np.shape(log_probs)[1]
    return bald(log_probs) * num_draws / (num_draws - 1)


def consensus_kl(log_probs) -> np.ndarray:
    """mean_k KL(p_k ‖ p̄)."""
    return by_row(lambda row: mean([kl(draw, consensus(row)) for draw in row]), log_probs)


def least_confidence(log_probs) -> np.ndarray:
    """1 - max_c p̄_c."""
    return by_row(lambda row: 1.0 - max(consensus(row)), log_probs)


def margin(log_probs) -> np.ndarray:
    """Second largest p̄_c minus the largest."""

    def of_row(row):
        largest, second = sorted(consensus(row), reverse=True)[:2]
        return second - largest

    return by_row(of_row, log_probs)


def log_margin(log_probs) -> np.ndarray:
    """log p̄_c of the second largest minus that of the largest, a log of 0 being -1000."""

    def of_row(row):
        largest, second = sorted(consensus(row), reverse=True)[:2]
        log = lambda p: max(math.log(p), -1000.0) if p > 0 else -1000.0
        return log(second) - log(largest)

    return by_row(of_row, log_probs)


def mean_std(log_probs) -> np.ndarray:
    """mean_c sqrt(mean_k (p_kc - p̄_c)²)."""

    def of_row(row):
        centers = consensus(row)
        return mean([math.sqrt(mean([(p - m) ** 2 for p in row[:, c]])) for c, m in enumerate(centers)])

    return by_row(of_row, log_probs)


def vote_shares(row) -> list[float]:
    """Share of the draws whose most probable class is c; a tie inside a draw goes to the lowest class."""
    votes = [max(range(len(draw)), key=lambda c: (draw[c], -c)) for draw in row]
    return [votes.count(c) / len(votes) for c in range(row.shape[1])]


def vote_variation_ratio(log_probs) -> np.ndarray:
    """1 - share of the modal class among the votes."""
    return np.array([1.0 - max(vote_shares(row)) for row in np.asarray(log_probs)])


def vote_entropy(log_probs) -> np.ndarray:
    """Entropy of the distribution of votes."""
    return np.array([entropy(vote_shares(row)) for row in np.asarray(log_probs)])


def joint_entropy(log_probs) -> float:
    """H(y_1, ..., y_n) of rows [n, K, C] that share their draws, by enumerating the C^n configurations."""
    p = probabilities(log_probs)
    num_rows, num_draws, num_classes = p.shape
    return entropy(
        [
            mean([math.prod(p[i, k, c] for i, c in enumerate(labels)) for k in range(num_draws)])
            for labels in itertools.product(range(num_classes), repeat=num_rows)
        ]
    )


def batchbald(log_probs) -> float:
    """I(y_1, ..., y_n; θ) = H(y_1, ..., y_n) - Σ_i mean_k H[p_ik] of the rows handed in."""
    return joint_entropy(log_probs) - math.fsum(expected_entropy(log_probs))


def greedy_batchbald(log_probs, batch_size: int) -> tuple[list[int], list[float]]:
    """Greedy maximization of `batchbald`: indices and gains, ties to the lowest index."""
    log_probs, picked, gains, value = np.asarray(log_probs), [], [], 0.0
    for _ in range(batch_size):
        rest = [n for n in range(len(log_probs)) if n not in picked]
        values = [batchbald(log_probs[[*picked, n]]) for n in rest]
        best = int(np.argmax(values))
        picked.append(rest[best])
        gains.append(values[best] - value)
        value = values[best]
    return picked, gains


def epig(log_probs, target_log_probs, weight=None) -> np.ndarray:
    """Expected predictive information gain: weighted mean over targets z of KL(p(y, y_z) ‖ p(y) p(y_z))."""
    pool, targets = probabilities(log_probs), probabilities(target_log_probs)
    weight = np.ones(len(targets)) if weight is None else np.asarray(weight, np.float64)

    def information(row, target):
        classes = list(itertools.product(range(row.shape[1]), range(target.shape[1])))
        joint = [mean([row[k, a] * target[k, b] for k in range(len(row))]) for a, b in classes]
        p, q = consensus(row), consensus(target)
        return kl(joint, [p[a] * q[b] for a, b in classes])

    return np.array(
        [math.fsum(w * information(row, z) for w, z in zip(weight, targets)) / math.fsum(weight) for row in pool]
    )


def beta_bernoulli_bald(a: float, b: float) -> float:
    """H[y] - E H[y | θ] for θ ~ Beta(a, b), y ~ Bernoulli(θ), with E[θ log θ] by digamma."""
    p = a / (a + b)
    inner = p * (special.digamma(a + 1) - special.digamma(a + b + 1))
    outer = (1 - p) * (special.digamma(b + 1) - special.digamma(a + b + 1))
    return entropy([p, 1 - p]) + inner + outer


def beta_bernoulli_entropy_reduction(a: float, b: float) -> float:
    """H[θ] - E_y H[θ | y], the other side of the same mutual information."""
    p = a / (a + b)
    after = p * stats.beta(a + 1, b).entropy() + (1 - p) * stats.beta(a, b + 1).entropy()
    return float(stats.beta(a, b).entropy() - after)


def epistemic_variance(means, variances) -> np.ndarray:
    """Var f = mean_k variance_k + Var_k mean_k."""
    rows = zip(np.asarray(means), np.asarray(variances))
    return np.array([mean(v) + mean([(float(x) - mean(m)) ** 2 for x in m]) for m, v in rows])


def total_variance(means, variances, noises) -> np.ndarray:
    """Var y = Var f + mean_k noise_k."""
    return epistemic_variance(means, variances) + np.array([mean(noise) for noise in np.asarray(noises)])


def gaussian_entropy(means, variances, noises) -> np.ndarray:
    """Entropy of the normal that has the variance of y."""
    return np.array([stats.norm(scale=math.sqrt(v)).entropy() for v in total_variance(means, variances, noises)])


def gaussian_bald(means, variances, noises) -> np.ndarray:
    """½ log Var y - mean_k ½ log noise_k."""
    conditional = [mean([math.log(float(s)) for s in noise]) for noise in np.asarray(noises)]
    return 0.5 * (np.log(total_variance(means, variances, noises)) - np.array(conditional))


def mixture_information(means, variances, noises) -> float:
    """I(y; f, k) of one row by quadrature: entropy of the mixture of normals minus mean_k H[y | f, k]."""
    parts = [stats.norm(float(m), math.sqrt(float(v) + float(s))) for m, v, s in zip(means, variances, noises)]
    low = min(part.mean() - 12 * part.std() for part in parts)
    high = max(part.mean() + 12 * part.std() for part in parts)
    density = lambda y: mean([float(part.pdf(y)) for part in parts])
    points = [part.mean() for part in parts]
    marginal = integrate.quad(lambda y: -xlogx(density(y)), low, high, points=points, limit=400)[0]
    return marginal - mean([0.5 * math.log(2 * math.pi * math.e * float(s)) for s in noises])


def power_weights(scores, beta: float) -> list[float]:
    return [float(s) ** beta if s > 0 else 0.0 for s in scores]


def softmax_weights(scores, beta: float) -> list[float]:
    return [math.exp(beta * float(s)) for s in scores]


def softrank_weights(scores, beta: float) -> list[float]:
    """Rank^-beta, the best having rank 1; equal scores rank by position."""
    order = sorted(range(len(scores)), key=lambda n: (-float(scores[n]), n))
    return [(1.0 + order.index(n)) ** -beta for n in range(len(scores))]


def pick_probabilities(weights: Sequence[float], order: Sequence[int]) -> list[float]:
    """P(pick_b | picks before) for draws proportional to weight; rows of weight 0 come last, uniformly."""
    probs, rest = [], list(range(len(weights)))
    for n in order:
        total = math.fsum(weights[m] for m in rest)
        probs.append(weights[n] / total if total > 0 else 1.0 / len(rest))
        rest.remove(n)
    return probs


def ordered_batches(weights: Sequence[float], batch_size: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every ordered batch with its probability."""
    for order in itertools.permutations(range(len(weights)), batch_size):
        yield order, math.prod(pick_probabilities(weights, order))


def inclusion_probabilities(weights: Sequence[float], batch_size: int) -> np.ndarray:
    """P(row n is in the batch)."""
    included = np.zeros(len(weights))
    for order, prob in ordered_batches(weights, batch_size):
        included[list(order)] += prob
    return included
