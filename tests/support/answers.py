"""Answers of the stores are tuples, equal whatever their names: `Spent(id) == Expired(id)`."""

from typing import Any


def exactly(answer: Any) -> tuple[type, Any]:
    """The answer with its class, to compare."""
    return type(answer), answer
