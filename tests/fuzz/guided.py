"""Fuzzing guided by coverage (libFuzzer): `python -m tests.fuzz.guided json|url [seconds]`.

Nothing but the refusals that callers see may be raised.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["gateway.http", "gateway.egress", "gateway.problems"]):
    import msgspec

    from gateway.actions.action import BadParams
    from gateway.actions.registry import registered
    from gateway.api import actions
    from gateway.egress.guard import Guard, TargetRefusal
    from gateway.http.strict_json import decode
    from gateway.problem import Problem

from tests.support.effects import effect_of

PREVIEW = msgspec.json.Decoder(actions.PreviewRequest)
SEEDS = {
    "json": [
        b'{"action": "webhook.save", "params": {"url": "https://a.example", "body": [1, "\\u00"]}}',
        b'{"action": "webhook.save", "params": {"headers": {"X-A": "b"}, "method": "PUT"}}',
    ],
    "url": [
        b"https://a.example:8443/a%2Fb;c?d=e",
        b"http://[2606:4700::1111]:80/",
        b"https://1.1.1.1",
        b"https://user:pw@[2001:db8::1%25x]:8443/a%2Fb;c?d=e#f",
        b"http://xn--nxasmq6b.\xc3\xa9/",
    ],
}
webhook = registered(webhook_url=None, providers={})["webhook.save"]
guard = Guard(hosts=frozenset({"a.example"}))


def read_json(data: bytes) -> None:
    try:
        asked = decode(data, PREVIEW, verbatim=("params", "body"))
        effect_of(webhook, asked.params)
    except (Problem, BadParams):
        return


def check_url(data: bytes) -> None:
    try:
        guard.check_url(data.decode("utf-8", "surrogateescape"))
    except TargetRefusal:
        return


def main(what: str, seconds: str = "60") -> None:
    """Ends with an error as soon as anything else is raised."""
    with TemporaryDirectory(prefix="relay-fuzz-") as corpus:
        for number, seed in enumerate(SEEDS[what]):
            (Path(corpus) / str(number)).write_bytes(seed)
        target = {"json": read_json, "url": check_url}[what]
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
