"""Does a measure order networks as their errors do? Kendall's rank correlation, its uncertainty, and where it fails."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.stats import kendalltau

__all__ = ["Ranking", "changed_alone", "kendall", "rank_correlation"]


class Ranking(NamedTuple):
    """Rank correlation, and the ends of its 95 % interval."""

    tau: float
    low: float
    high: float


def kendall(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's τ-b: 1 for the same order, -1 for the opposite one, 0 for none, and 0 if one of both is constant."""
    x, y = np.asarray(x), np.asarray(y)
    if (x == x[0]).all() or (y == y[0]).all():
        return 0.0
    return float(kendalltau(x, y).statistic)


def rank_correlation(
    table: pd.DataFrame,
    measure: str,
    target: str,
    configuration: Sequence[str],
    *,
    generator: torch.Generator,
    resamples: int = 1000,
) -> Ranking:
    """:func:`kendall` of two columns, with a bootstrap interval over configurations.

    Configurations are drawn with replacement, each with all its rows (seeds), since those are alike; the interval goes
    from the 2.5th to the 97.5th percentile.

    Args:
        table: one row per network.
        measure: column of the measure.
        target: column that it should order, such as the gap between test and training error.
        configuration: columns that name a configuration.
        generator: of the bootstrap.
        resamples: number of bootstrap samples.

    Raises:
        ValueError: for fewer than two configurations.
    """
    groups = [part.index.to_numpy() for _, part in table.reset_index(drop=True).groupby(list(configuration))]
    if len(groups) < 2:
        raise ValueError(f"a rank correlation needs at least two configurations; got {len(groups)}")
    x, y = table[measure].to_numpy(), table[target].to_numpy()
    drawn = torch.randint(len(groups), (resamples, len(groups)), generator=generator).tolist()
    samples = []
    for chosen in drawn:
        rows = np.concatenate([groups[i] for i in chosen])
        samples.append(kendall(x[rows], y[rows]))
    low, high = np.percentile(samples, [2.5, 97.5])
    return Ranking(kendall(x, y), float(low), float(high))


def changed_alone(table: pd.DataFrame, measure: str, target: str, factor: str, others: Sequence[str]) -> float:
    """How often a measure moves with its target when one factor changes alone: mean of the product of both signs.

    1 where they always move together, -1 where always apart; a pair with a tie counts 0. Pairs of rows that differ in
    ``factor`` and agree in ``others``. It is ψ of Jiang et al. 2020 (arXiv:1912.02178, equation 9) for one factor,
    with all pairs weighing the same; on a full grid of settings that is their mean over groups.

    Raises:
        ValueError: if no two rows differ in ``factor`` alone.
    """
    total, pairs = 0.0, 0
    for _, part in table.groupby(list(others)):
        x, y, levels = (part[name].to_numpy() for name in (measure, target, factor))
        i, j = np.triu_indices(len(part), 1)
        i, j = i[levels[i] != levels[j]], j[levels[i] != levels[j]]
        total += float((np.sign(x[i] - x[j]) * np.sign(y[i] - y[j])).sum())
        pairs += len(i)
    if not pairs:
        raise ValueError(f"no two rows differ in {factor!r} alone; they also differ in {', '.join(others)}")
    return total / pairs
