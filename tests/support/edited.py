"""Scripts of which some are replaced: by those of an older release, or by edited ones."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from stores.redis.scripts import SOURCES, Argument, Scripts

OLDER = Path(__file__).parent.parent / "data" / "scripts"


class Edited(Scripts):
    """`sources`: by the names of the scripts that they replace."""

    def __init__(self, client: "Redis", **sources: str) -> None:
        super().__init__(client)
        self._sources = {**SOURCES, **sources}

    async def call(self, name: str, keys: Sequence[str], *args: Argument) -> list[Any]:
        plain = [
            arg // timedelta(milliseconds=1) if isinstance(arg, timedelta) else arg for arg in args
        ]
        answer: list[Any] = await self._client.eval(self._sources[name], len(keys), *keys, *plain)
        return answer


def older(name: str) -> str:
    """A script of an older release, with its includes."""
    return (OLDER / f"{name}.lua").read_text()


def without(name: str, line: str, instead: str = "") -> str:
    """A script with one of its lines, which must be there, replaced."""
    source = SOURCES[name]
    assert source.count(line) == 1, (name, line)
    return source.replace(line, instead)
