"""What the study of few samples says of its claims, each with what it could have seen: `paper_figures.few_samples`."""

from typing import Any

import numpy as np
import scipy.stats

from bal.evaluation import detectable_difference
from bal.evaluation.protocol import AssumptionCheck, assumption_check, variance_components
from paper_figures.claims import Judged

FEATURES = ("confidence", "entropy", "variety", "spread")
FACTORS = ("subset", "order", "start", "dropout")
LEVEL, POWER = 0.05, 0.8


def against_random(found: dict) -> Judged:
    """Mean accuracy over the labels less that of random, at a level shared by all strategies; what could be seen."""
    accuracy = {name: values.mean(1) for name, values in found["spam"].items()}
    others, said, better, seen = [name for name in accuracy if name != "random"], [], False, []
    for name in others:
        difference = (accuracy[name] - accuracy["random"]).astype(float)
        num, level = len(difference), LEVEL / len(others)
        if num < 3:
            return "no interval", None
        half = scipy.stats.t.isf(level / 2, num - 1) * difference.std(ddof=1) / np.sqrt(num)
        better |= bool(difference.mean() > half)
        seen.append(detectable_difference(difference, num, POWER, level))
        said.append(
            f"{name} {difference.mean():+.4f} [{difference.mean() - half:+.4f}, {difference.mean() + half:+.4f}]"
        )
    power = f"a difference of {max(seen):.4f} would be found with chance {POWER:g}"
    return f"{'; '.join(said)}; {power}", False if better else True if max(seen) <= 0.01 else None


def checked(found: dict, design: str = "random") -> AssumptionCheck:
    """Features of subsets and scores, at a constant number of tokens."""
    part = found[design]
    names = [name for name in FEATURES if np.ptp(part[name]) > 0]
    return assumption_check({name: part[name] for name in names}, part["log_prob"], part["tokens"], LEVEL, POWER)


def no_feature(found: dict) -> Judged:
    """Whether any feature goes with the score over random subsets."""
    check = checked(found)
    rho = ", ".join(f"{name} {one.rho:+.2f} (p {one.adjusted_p:.2f})" for name, one in check.features.items())
    any_real = any(one.adjusted_p <= LEVEL for one in check.features.values())
    said = f"{rho}; R² {check.r_squared:.3f}, of noise {check.null_r_squared:.3f}; {check.verdict}"
    return said, False if any_real else True if check.detectable <= 0.37 else None


def mostly_chance(found: dict) -> Judged:
    """Whether the choice of rows makes less than half of the variance; beside it the raw share that was published."""
    scores = np.asarray(found["crossed"]["log_prob"], float).reshape(found["sizes"].words.levels)
    subset, rest = variance_components(scores.reshape(len(scores), -1), ["subset"]).values()
    parts = {name: part for name, part in shares(found).items() if " x " not in name}
    others = ", ".join(f"{name} {one.share:.2f} [{one.low:.2f}, {one.high:.2f}]" for name, one in parts.items())
    said = (
        f"{subset.share:.2f} [{subset.low:.2f}, {subset.high:.2f}]; raw share within subsets {rest.raw_share:.2f}, of "
        f"noise {rest.null_share:.2f}; crossed: {others}"
    )
    if len(scores) < 10:
        return said, None
    return said, True if subset.high < 0.5 else False if subset.low > 0.5 else None


def shares(found: dict) -> dict[str, Any]:
    """Components of variance of the crossed design."""
    scores = np.asarray(found["crossed"]["log_prob"], float).reshape(found["sizes"].words.levels)
    return variance_components(scores, FACTORS)


def along_windows(found: dict) -> Judged:
    """Rank correlation of window number and mean score of its trainings."""
    count, repeats = found["sizes"].words.windows
    values, tokens = (found["windows"][name].reshape(count, repeats).mean(1) for name in ("log_prob", "tokens"))
    rho, p = map(float, scipy.stats.spearmanr(np.arange(count), values))  # type: ignore[arg-type]
    length = scipy.stats.spearmanr(np.arange(count), tokens)[0] if np.ptp(tokens) else 0.0
    said = f"rho {rho:+.2f} (p {p:.3f}), scores {values[0]:.3f} to {values[-1]:.3f}, rho with tokens {length:+.2f}"
    if count < 7:
        return said, None
    return f"{said}; of {count} windows |rho| of at least .79 is told", bool(rho < 0) if p <= LEVEL else None


def better_written(found: dict) -> Judged:
    """chrF of what is written, before and after one training."""
    before, after = (np.asarray(found["written"][name], float) for name in ("before", "after"))
    difference, num = after - before, len(before)
    half = scipy.stats.t.isf(LEVEL / 2, num - 1) * difference.std(ddof=1) / np.sqrt(num)
    exact = f"exact {found['random']['before_exact']:.3f} to {found['random']['exact'].mean():.3f} on average"
    said = f"chrF {before.mean():.3f} to {after.mean():.3f}, {difference.mean():+.3f} ± {half:.3f}; {exact}"
    return said, bool(difference.mean() > half) if num > 10 else None
