"""The public conformance suite, in today's version and in older ones.

It tests fixtures that a server of tests has: tools named `test_...`, prompts and resources. What
does not apply to Relay is listed with its reason; an entry that passes fails here.
"""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.mcp.protocol import LEGACY, MODERN
from tests.support.gateways import Relay
from tests.support.npm import Packages

SUITE = "@modelcontextprotocol/conformance/dist/index.js"
AGENTS = Packages("mcp")

FIXTURE = "it calls a tool of fixtures, which prints text, an image or sounds"
PROMPTS = "Relay has no prompts"
RESOURCES = "Relay has no resources"
DEPRECATED = "it is deprecated: sampling, roots and logging"
ASKS = "it asks a person through a tool of fixtures; ours asks by a page alone"
HEADERS = "no schema of Relay asks a client to copy arguments into headers"
COMPLETION = "Relay completes no arguments"
STREAMS = "Relay keeps no session and sends no stream"
PROGRESS = "Relay gives one answer a request, and no progress"

EVERYWHERE = {
    "completion-complete": COMPLETION,
    "tools-call-simple-text": FIXTURE,
    "tools-call-image": FIXTURE,
    "tools-call-audio": FIXTURE,
    "tools-call-embedded-resource": FIXTURE,
    "tools-call-mixed-content": FIXTURE,
    "tools-call-error": FIXTURE,
    "tools-call-with-progress": PROGRESS,
    "resources-list": RESOURCES,
    "resources-read-text": RESOURCES,
    "resources-read-binary": RESOURCES,
    "resources-templates-read": RESOURCES,
    "prompts-list": PROMPTS,
    "prompts-get-simple": PROMPTS,
    "prompts-get-with-args": PROMPTS,
    "prompts-get-embedded-resource": PROMPTS,
    "prompts-get-with-image": PROMPTS,
}
OLD = {
    "logging-set-level": DEPRECATED,
    "tools-call-with-logging": DEPRECATED,
    "tools-call-sampling": DEPRECATED,
    "tools-call-elicitation": ASKS,
    "resources-subscribe": RESOURCES,
    "resources-unsubscribe": RESOURCES,
}
SCHEMAS = {"json-schema-2020-12": FIXTURE}
STATELESS = "server-stateless:sep-2575"
DOES_NOT_APPLY = {
    MODERN: EVERYWHERE
    | SCHEMAS
    | {
        f"{STATELESS}-server-rejects-undeclared-capability": FIXTURE,
        f"{STATELESS}-missing-capability-http-400": FIXTURE,
        f"{STATELESS}-http-server-no-independent-requests-on-stream": FIXTURE,
        f"{STATELESS}-server-no-log-without-loglevel": DEPRECATED,
        "caching:sep-2549-prompts-list-caching-hints": PROMPTS,
        "caching:sep-2549-resources-list-caching-hints": RESOURCES,
        "caching:sep-2549-resources-templates-list-caching-hints": RESOURCES,
        "http-custom-header-server-validation": HEADERS,
        "input-required-result-basic-elicitation": ASKS,
        "input-required-result-basic-sampling": DEPRECATED,
        "input-required-result-basic-list-roots": DEPRECATED,
        "input-required-result-request-state": ASKS,
        "input-required-result-multiple-input-requests": ASKS,
        "input-required-result-multi-round": ASKS,
        "input-required-result-non-tool-request": PROMPTS,
        "input-required-result-result-type": ASKS,
        "input-required-result-tampered-state": ASKS,
        "input-required-result-missing-input-response": ASKS,
        "input-required-result-ignore-extra-params": ASKS,
        "sep-2164-resource-not-found": RESOURCES,
        "input-required-result-capability-check": ASKS,
    },
    LEGACY[0]: EVERYWHERE
    | OLD
    | SCHEMAS
    | {
        "elicitation-sep1034-defaults": ASKS,
        "elicitation-sep1330-enums": ASKS,
        "server-sse-polling": STREAMS,
        "server-sse-multiple-streams": STREAMS,
    },
    LEGACY[1]: EVERYWHERE | OLD,
}
# Scenarios that apply, and how many checks they have at least.
APPLY = {
    MODERN: {
        "server-stateless": 21,
        "tools-list": 4,
        "dns-rebinding-protection": 2,
        "caching": 4,
        "http-header-validation": 14,
        "input-required-result-unsupported-methods": 2,
        "input-required-result-validate-input": 3,
    },
    LEGACY[0]: {"server-initialize": 2, "ping": 2, "tools-list": 3, "dns-rebinding-protection": 2},
    LEGACY[1]: {"server-initialize": 2, "ping": 2, "tools-list": 2},
}


async def run(relay: Relay, folder: Path, expected: list[str], *words: str) -> tuple[int, str]:
    """The exit code and what the suite prints. `expected`: what may fail, and has to."""
    file = folder / "expected.yaml"
    file.write_text("server:\n" + "".join(f"  - {entry}\n" for entry in expected))
    asked = ("server", "--url", f"{relay.base_url}/mcp", "--expected-failures", str(file), *words)
    done = await asyncio.to_thread(AGENTS.node, SUITE, *asked, folder=folder)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", DOES_NOT_APPLY)
async def test_every_scenario_that_applies_passes(
    relay: Relay, tmp_path: Path, version: str
) -> None:
    """And each entry of the list above fails, as it says."""
    given = ("--suite", "all", "--spec-version", version)
    code, printed = await run(relay, tmp_path, [*DOES_NOT_APPLY[version]], *given)
    assert code == 0, printed[-6000:]
    passed = dict(re.findall(r"([\w-]+): (\d+) passed", printed))
    for scenario, checks in APPLY[version].items():
        assert int(passed[scenario]) >= checks, scenario


async def test_an_entry_that_passes_fails(relay: Relay, tmp_path: Path) -> None:
    """So that the list cannot outlive its reasons."""
    given = ("--scenario", "ping", "--spec-version", LEGACY[0])
    code, printed = await run(relay, tmp_path, ["ping"], *given)
    assert code == 1, printed
    assert (await run(relay, tmp_path, ["tools-call-image"], *given))[0] == 0
