"""Where time goes, by layer: each sample belongs to its innermost frame of a known module."""

import re
from collections import Counter
from collections.abc import Iterable

# The first pattern that a frame's file matches decides.
LAYERS = {
    "egress": r"gateway/egress|gateway/signatures|aiohttp|yarl|multidict",
    "shipper": r"gateway/(audit|database)|stores/(sql|audit)|sqlalchemy|sqlite|asyncpg",
    "redis": r"stores/redis|redis/|hiredis",
    "otlp": r"gateway/telemetry/(export|otlp)|opentelemetry|requests/|urllib3|http/client|google/",
    "lines": r"gateway/telemetry/(logs|outlet)|logging/|pythonjsonlogger",
    "spans and metrics": r"gateway/telemetry|gateway/(http|egress)/tracing|prometheus_client",
    "admission": r"gateway/access",
    "guard and actions": r"gateway/actions|gateway/effects|ipaddress",
    "execution": r"gateway/execution",
    "endpoints": r"gateway/",
    "starlette": r"starlette/",
    "uvicorn": r"uvicorn/|httptools",
    "loop": r"asyncio/|uvloop|selectors",
    "threads": r"threading|concurrent/|queue",
}
_patterns = {name: re.compile(pattern) for name, pattern in LAYERS.items()}
OTHER = "other"


def layer_of(stack: str) -> str:
    """The layer of one stack in py-spy's raw form: frames from the outermost, joined by `;`."""
    for frame in reversed(stack.split(";")):
        file = frame.partition("(")[2] or frame
        for name, pattern in _patterns.items():
            if pattern.search(file):
                return name
    return OTHER


def shares(lines: Iterable[str]) -> dict[str, float]:
    """The share of all samples of each layer, largest first. A line is a stack and its count."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        counts[layer_of(stack)] += int(count)
    total = counts.total() or 1
    return {name: count / total for name, count in counts.most_common()}
