"""The metrics and labels that a PromQL expression names."""

import re
from typing import NamedTuple

STRING = r'"(?:[^"\\]|\\.)*"'
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\{((?:[^{}\"]|" + STRING + r")*)\}")
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
WORDS = {"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring"}


class Named(NamedTuple):
    """`metrics`: each with the labels that its own braces name. `grouped`: labels of by()."""

    metrics: dict[str, set[str]]
    grouped: set[str]


def named(expression: str) -> Named:
    metrics: dict[str, set[str]] = {}
    for metric, matchers in SELECTOR.findall(expression):
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(STRING, "", matchers))
        metrics.setdefault(metric, set()).update(labels)
    rest = re.sub(STRING, "", SELECTOR.sub(lambda match: f" {match[1]} ", expression))
    grouped = {label.strip() for _, labels in GROUPING.findall(rest) for label in labels.split(",")}
    rest = re.sub(r"\[[^\]]*\]", "", GROUPING.sub("", rest))
    rest = re.sub(r"\boffset\s+\w+", "", rest)
    for word in re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", rest):
        if word not in WORDS:
            metrics.setdefault(word, set())
    return Named(metrics, grouped - {""})
