"""What a gateway says when it starts."""

import asyncio
import json

import pytest

from gateway.cli.serve import announce
from gateway.config.settings import Settings
from tests.support.embedded import data_dir
from tests.support.gateways import GatewayProcess, gateway_process
from tests.support.target import Target
from tests.support.valkey import Valkey


def banner(gateway: GatewayProcess) -> str:
    """What follows the line that says where it listens."""
    assert gateway.process.stdout
    return "".join(gateway.process.stdout.readline() for _ in range(5))


def test_the_banner_names_the_store(valkey: Valkey) -> None:
    """Its folder, or that it is the one of REDIS_URL, without the password."""
    with data_dir() as folder, gateway_process({"RELAY_DATA_DIR": str(folder)}) as embedded:
        assert f"Store: embedded Valkey, data in {folder}\n" in banner(embedded)
    with gateway_process({"REDIS_URL": valkey.url}) as shared:
        said = banner(shared)
    assert "Store: the server of REDIS_URL\n" in said
    assert str(valkey.socket) not in said


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "metrics at /metrics, traces not exported (OTEL_EXPORTER_OTLP_ENDPOINT is not set)"),
        (
            {"GRAFANA_URL": "https://g.example"},
            "metrics at /metrics, traces not exported (OTEL_EXPORTER_OTLP_ENDPOINT is not set: "
            "links will lead to nothing)",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hunter2@127.0.0.1:1"},
            "metrics at /metrics, traces exported over OTLP",
        ),
        ({"TELEMETRY_BACKEND": "prom"}, "metrics at /metrics, no traces"),
        ({"TELEMETRY_ENABLED": "0"}, "no metrics, no traces"),
    ],
)
def test_the_banner_says_what_is_kept(
    capsys: pytest.CaptureFixture[str], env: dict[str, str], said: str
) -> None:
    """And what is only half set up; no password."""
    announce(Settings.from_env(env), "http://127.0.0.1:8000", open_to_all=True)
    assert f"\nSeen:  {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("open_to_all", "said"),
    [
        (True, 'no key was created: requests need none, in the workspace "default"'),
        (False, "demanded of every request"),
    ],
)
def test_the_banner_says_whether_keys_are_required(
    capsys: pytest.CaptureFixture[str], open_to_all: bool, said: str
) -> None:
    """A gateway without keys says so when it starts."""
    announce(Settings(), "http://127.0.0.1:8000", open_to_all=open_to_all)
    assert f"\nKeys:  {said}\n" in capsys.readouterr().out


async def test_the_curl_of_the_banner_works_when_pasted(valkey: Valkey, target: Target) -> None:
    """As printed, but for the target: a preview comes back and nothing is sent."""
    with gateway_process({"REDIS_URL": valkey.url}) as gateway:
        said = banner(gateway).partition("Try:")[2]
        assert "https://example.com/hook" in said
        pasted = said.replace("https://example.com/hook", target.url)
        curl = await asyncio.create_subprocess_shell(
            f"{pasted.rstrip()} -s --noproxy '*'", stdout=asyncio.subprocess.PIPE
        )
        answer, _ = await curl.communicate()

    preview = json.loads(answer)
    assert preview["effect"]["body"] == '{"test": "hello"}'
    assert preview["effect"]["url"] == target.url
    assert target.connections == 0
