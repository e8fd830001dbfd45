"""docker-compose.yml and the files it mounts, checked without Docker."""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.config.local_keys import audit_keys, encryption_keys, peppers
from gateway.config.settings import Settings
from gateway.config.variables import VARIABLES, SettingsError
from gateway.database import exists
from gateway.execution.runner import LEASE_MARGIN
from gateway.http.requests import WAIT_MAX
from stores.redis.client import open_store
from stores.redis.server.embedded import server_binary
from tests.support.gateways import until
from tests.support.stack.files import COMPOSE, DEPLOY, ROOT, services, yaml

COMPOSED = yaml(COMPOSE)
FLUSH = timedelta(seconds=3)


def seconds(text: str) -> timedelta:
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()  # type: ignore[union-attr]
    return timedelta(milliseconds=int(number)) if unit == "ms" else timedelta(seconds=int(number))


def test_the_compose_file_is_valid() -> None:
    """By the schema of compose-spec."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, COMPOSE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def mounts() -> list[tuple[str, str]]:
    pairs = [
        (name, mount.split(":")[0])
        for name, service in services().items()
        for mount in service.get("volumes", [])
    ]
    assert len(pairs) == 13
    return pairs


@pytest.mark.parametrize(("service", "source"), mounts())
def test_what_a_service_mounts_exists(service: str, source: str) -> None:
    """A file of the repository, read-only, or a declared volume."""
    if source.startswith("./"):
        assert (ROOT / source).exists()
        assert any(m.startswith(f"{source}:") and m.endswith(":ro") for m in mounted(service))
    else:
        assert source in COMPOSED["volumes"]


def mounted(service: str) -> list[str]:
    found: list[str] = services()[service]["volumes"]
    return found


@pytest.mark.parametrize("name", services())
def test_a_service_is_pinned_and_hardened(name: str) -> None:
    """Its image has one version, it has no capability and a read-only root, and it restarts, except
    for migrate.
    """
    service = services()[name]
    pinned = re.fullmatch(r"[\w./-]+:v?\d+(\.\d+){1,2}(-\w+)?", service["image"])
    assert pinned or service["image"] == services()["gateway"]["image"]
    assert ("build" in service) == (name == "gateway")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert set(service.get("depends_on", ())) <= services().keys()


def test_only_loopback_is_published() -> None:
    """The stores, the gateways and Tempo publish no port at all."""
    published = {name: each["ports"] for name, each in services().items() if "ports" in each}
    assert published == {
        "haproxy": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def gateway_environment() -> dict[str, str]:
    """Its environment if the caller sets nothing."""
    given: dict[str, str] = services()["gateway"]["environment"]
    return {name: unset(value) for name, value in given.items()}


def unset(value: str) -> str:
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)


def test_the_environment_of_the_gateway_is_valid() -> None:
    """Relay knows each variable; TEMPO_URL is for `relay trace`."""
    environment = gateway_environment()
    assert environment.keys() - VARIABLES.keys() <= {"TEMPO_URL"}
    settings = Settings.from_env(environment)
    assert settings.redis_url
    assert settings.traces_endpoint
    assert settings.trace_link


def test_gateways_trust_their_own_network() -> None:
    """HAProxy is in it, and no fixed address."""
    (config,) = COMPOSED["networks"]["default"]["ipam"]["config"]
    trusted = Settings.from_env(gateway_environment()).trusted_proxies
    assert trusted == (ip_network(unset(config["subnet"])),)
    assert not any("networks" in service for service in services().values())
    assert "option forwardfor" in haproxy()


def test_gateways_start_with_the_schema_of_their_own_image() -> None:
    """`relay migrate` ends before, on the database that they use."""
    gateway, migrate = services()["gateway"], services()["migrate"]
    assert gateway["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert (migrate["image"], migrate["command"]) == (gateway["image"], ["relay", "migrate"])
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    url = gateway["environment"]["DATABASE_URL"]
    assert migrate["environment"] == {"DATABASE_URL": url}
    given = services()["postgres"]["environment"]
    login = f"{given['POSTGRES_USER']}:{given['POSTGRES_PASSWORD']}"
    assert url == f"postgresql://{login}@postgres:5432/{given['POSTGRES_DB']}"
    Settings.from_env(migrate["environment"])


def test_replicas_share_generated_secrets(tmp_path: Path) -> None:
    """They are in the volume that all replicas mount and the image may write. Production does not
    start without given ones.
    """
    home = re.search(r"RELAY_DATA_DIR=(\S+)", dockerfile())
    assert home
    assert services()["gateway"]["volumes"] == [f"gateway-data:{home[1]}"]
    assert f"install -d -o 10001 -g 10001 {home[1]}" in dockerfile()
    environment = gateway_environment()
    made = {*peppers(Settings.from_env({**environment, "RELAY_DATA_DIR": str(tmp_path)}))}
    assert made == {*peppers(Settings.from_env({**environment, "RELAY_DATA_DIR": str(tmp_path)}))}
    with pytest.raises(SettingsError, match="RELAY_KEY_PEPPER is not set"):
        Settings.from_env({**environment, "RELAY_ENV": "production"})


def test_a_replica_with_secrets_writes_nothing(tmp_path: Path) -> None:
    """Its root is read-only, and it needs no volume."""
    given = dict.fromkeys(("RELAY_KEY_PEPPER", "RELAY_AUDIT_KEY"), 32 * "k")
    given["RELAY_ENCRYPTION_KEY"] = base64.b64encode(32 * b"k").decode()
    home = {"RELAY_DATA_DIR": str(tmp_path / "none")}
    settings = Settings.from_env({**gateway_environment(), **given, **home})
    assert exists(settings)
    for needed in (peppers, audit_keys, encryption_keys):
        assert needed(settings)
    assert not (tmp_path / "none").exists()


def test_a_stopping_replica_has_enough_time() -> None:
    """HAProxy notices before it stops listening; it is killed after the last run and trace."""
    settings = Settings.from_env(gateway_environment())
    server = next(line for line in haproxy() if line.startswith("default-server "))
    match = re.fullmatch(r".* inter (\w+) fastinter \w+ fall (\d+) .*", server)
    assert match
    assert settings.stop_delay > seconds(match[1]) * int(match[2])
    needed = settings.stop_delay + settings.action_timeout + LEASE_MARGIN + FLUSH
    assert seconds(services()["gateway"]["stop_grace_period"]) > needed


def haproxy() -> list[str]:
    return [line.strip() for line in (DEPLOY / "haproxy.cfg").read_text().splitlines()]


def haproxy_value(name: str) -> timedelta:
    return seconds(next(line for line in haproxy() if line.startswith(name)).split()[-1])


def test_haproxy_waits_longer_than_relay() -> None:
    """For a send, and for the run of another request; its own stop waits as long."""
    settings = Settings.from_env(gateway_environment())
    longest = max(WAIT_MAX, settings.action_timeout + LEASE_MARGIN)
    assert haproxy_value("timeout server") > longest
    assert haproxy_value("hard-stop-after") >= haproxy_value("timeout server")
    grace = seconds(services()["haproxy"]["stop_grace_period"])
    assert grace > haproxy_value("hard-stop-after")


@contextmanager
def configured_server() -> Iterator[str]:
    """A Valkey with deploy/redis.conf, on a socket instead of its port. Yields its URL."""
    with TemporaryDirectory(prefix="relay-test-") as folder:
        options = ("--port", "0", "--unixsocket", "v.sock", "--logfile", "valkey.log")
        command = [server_binary(), str(DEPLOY / "redis.conf"), *options]
        process = subprocess.Popen(command, cwd=folder)
        try:
            yield f"unix://{folder}/v.sock"
        finally:
            process.kill()
            process.wait()


async def test_the_store_passes_the_checks_of_production(tmp_path: Path) -> None:
    """The server accepts redis.conf, and all checks of a gateway pass."""
    with configured_server() as url:
        async with open_store(url, tmp_path) as store:

            async def passes() -> bool:
                return {check.verdict for check in await store.check(strict=True)} == {"ok"}

            await until(passes)


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text()


def test_the_image_is_pinned_and_unprivileged() -> None:
    """Both stages have versions, all packages hashes; it has a numeric user and a health check."""
    assert re.findall(r"^FROM (\S+)", dockerfile(), re.MULTILINE) == 2 * ["python:3.13.14-slim"]
    installs = re.findall(r"pip install ((?:--\S+ ?)+)", dockerfile())
    assert installs == 2 * ["--no-deps --require-hashes "] + ["--no-deps "]
    assert "\nUSER 10001:10001\n" in dockerfile()
    assert "\nHEALTHCHECK " in dockerfile()
    assert '\nCMD ["relay", "serve", "--host", "0.0.0.0"]\n' in dockerfile()


def test_the_files_of_the_image_exist() -> None:
    """The ignore file lets each of them in."""
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile(), re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert {f"!{source}" for source in copied} == {line for line in allowed if line[0] == "!"}
    assert all((ROOT / source).exists() for source in copied)
