"""No secret of the settings is in what a process prints, answers or is called with."""

import base64
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from gateway.cli.main import relay
from gateway.config.otel import RULES
from gateway.config.variables import VARIABLES
from tests.support.embedded import data_dir, server_pid
from tests.support.gateways import gateway_process
from tests.telemetry.test_secrets import leaks

PATHS = ("/ready", "/openapi.json", "/metrics", "/version", "/actions", "/runs", "/audit", "/docs")
NAMES = [*(name for name, row in VARIABLES.items() if row.secret)]
NAMES += [name for name, rule in RULES.items() if rule.secret]
STORES = ("REDIS_URL", "DATABASE_URL")


def canary(name: str) -> str:
    """Another one for each variable, of 32 bytes."""
    return f"canary{NAMES.index(name):02}".ljust(32, "z")


def held(name: str) -> str:
    """A valid text of the variable, with its canary."""
    texts = {
        "REDIS_URL": f"redis://user:{canary(name)}@127.0.0.1:1",
        "DATABASE_URL": f"postgresql://user:{canary(name)}@127.0.0.1:1/relay",
        "RELAY_API_KEY": f"rly_live_{canary(name)}",
        "RELAY_ENCRYPTION_KEY": base64.b64encode(canary(name).encode()).decode(),
        "WEBHOOK_URL": f"https://example.com/{canary(name)}",
        "GRAFANA_URL": f"https://g.example/{canary(name)}",
    }
    if name.endswith("_HEADERS"):
        return f"authorization=Bearer {canary(name)}"
    if name.endswith(("_URL", "_ENDPOINT")):
        return texts.get(name, f"http://user:{canary(name)}@127.0.0.1:1/traces")
    return texts.get(name, canary(name))


def environment(*without: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Every secret variable, and what must not be seen. Callers see where Grafana is."""
    env = {name: held(name) for name in NAMES if name not in without}
    canaries = {name: canary(name).encode() for name in env if name != "GRAFANA_URL"}
    registered = [name for name in env if name.endswith("_CLIENT_SECRET")]
    env |= {name.replace("_SECRET", "_ID"): "relay" for name in registered}
    return {**env, "PUBLIC_URL": "https://relay.example"}, canaries


def arguments(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("without", [STORES, ()], ids=["embedded", "away"])
def test_a_gateway_shows_no_secret(
    without: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Also one whose Redis, database and collector do not answer."""
    env, canaries = environment(*without)
    with data_dir() as folder, gateway_process({**env, "RELAY_DATA_DIR": str(folder)}) as gateway:
        pid, printed = gateway.process.pid, gateway.process.stdout
        assert printed
        banner = "".join(printed.readline() for _ in range(5))
        with httpx2.Client(base_url=gateway.url, timeout=30, trust_env=False) as client:
            answers = [client.get(path) for path in PATHS]
        called = arguments(pid) + (arguments(server_pid(folder)) if without else b"")
        given = Path(f"/proc/{pid}/environ").read_bytes()
    lines = capfd.readouterr().err
    slots = {
        "answers": b"".join(it.content + repr(it.headers).encode() for it in answers),
        "banner": banner.encode(),
        "arguments": called,
        "lines": lines.encode(),
    }
    assert leaks(canaries, slots) == set()
    # The search finds what is there.
    assert leaks(canaries, {"given": given}) == {(name, "given") for name in canaries}


@pytest.mark.parametrize(
    "words",
    [("keys", "list"), ("migrate",), ("audit", "verify"), ("approvals", "list"), ("trace", "x")],
)
def test_a_command_that_reaches_nothing_shows_no_secret(words: tuple[str, ...]) -> None:
    env, canaries = environment()
    done = CliRunner().invoke(relay, list(words), env={**env, "RELAY_URL": "http://127.0.0.1:1"})
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit)
    assert leaks(canaries, {"output": done.output.encode()}) == set()


@pytest.mark.parametrize("words", [(), ("serve",), ("gate",), ("approvals", "list"), ("trace",)])
def test_no_help_shows_a_secret(words: tuple[str, ...]) -> None:
    env, canaries = environment()
    env["PROMETHEUS_URL"] = f"http://user:{canary('TEMPO_URL')}@127.0.0.1:1"
    shown = CliRunner().invoke(relay, [*words, "--help"], env=env).output
    assert leaks(canaries, {"help": shown.encode()}) == set()
