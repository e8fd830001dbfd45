"""The arithmetic of the tables: medians with their spread, percentiles, ratios."""

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        return cls(median(figures), min(figures), max(figures))

    def text(self, digits: int) -> str:
        middle, low, high = (f"{figure:,.{digits}f}" for figure in self)
        return middle if low == high else f"{middle} ({low}-{high})"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest figure that at least this share of all do not exceed (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def ratios(figures: Sequence[float], references: Sequence[float]) -> list[float]:
    """Each round's figure over the reference of the same round, which the same noise has met."""
    return [figure / other for figure, other in zip(figures, references, strict=True)]
