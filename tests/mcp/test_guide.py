"""What the guide for agents says to write is what clients take, and is short."""

import json
import re
import shlex
from typing import Any

import click

from gateway.access.roles import ROLES
from gateway.actions.registry import registered
from gateway.cli.main import relay
from gateway.mcp.tools import Tools
from tests.test_readme import AGENTS, TEXTS, blocks

URL = "https://relay.example.com/mcp"


def test_the_settings_of_clients_are_json_with_the_key_as_a_header() -> None:
    """Cursor names servers in `mcpServers`, VS Code in `servers`."""
    settings: list[dict[str, Any]] = [
        json.loads(text) for kind, text in blocks(AGENTS) if kind == "json"
    ]
    servers = [given.get("mcpServers") or given["servers"] for given in settings]
    assert [server["relay"]["url"] for server in servers] == [URL, URL]
    for server in servers:
        assert re.fullmatch(r"Bearer \$\{\w+:[\w-]+\}", server["relay"]["headers"]["Authorization"])


def test_the_commands_are_whole() -> None:
    """The one that makes a key is ours; the other names the address and the header."""
    made, added = (text for kind, text in blocks(AGENTS) if kind == "sh ignore")
    command: click.Command = relay
    arguments = shlex.split(re.search(r"\$\(relay (.*)\)", made)[1])  # type: ignore[index]
    while isinstance(command, click.Group):
        command = command.commands[arguments.pop(0)]
    command.make_context(command.name, arguments)
    words = shlex.split(added)
    assert URL in words
    assert words[-1] == "Authorization: Bearer $RELAY_KEY"


def test_ten_lines_are_enough() -> None:
    """To add Relay to three clients."""
    lines = [line for _, text in blocks(AGENTS) for line in text.strip().splitlines()]
    assert len(lines) <= 10


def test_every_tool_is_in_the_table() -> None:
    named = re.findall(r"^\| `(\w+)` \| `([\w:]+)`", TEXTS[AGENTS], re.MULTILINE)
    tools = Tools(registered(webhook_url=None, providers={}))
    listed = [json.loads(bytes(tool))["name"] for tool in tools.listed(ROLES["admin"])]
    assert [name for name, _ in named] == listed
    assert [tool.scope for name, _ in named if (tool := tools.find(name))] == [
        scope for _, scope in named
    ]
