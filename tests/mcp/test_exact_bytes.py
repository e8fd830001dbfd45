"""The target gets the bytes that the client wrote: no number, escape or order is written anew."""

import json
from random import Random

import pytest

from tests.support.gateways import Relay
from tests.support.mcp import Agent, posted
from tests.support.target import Target

NUMBERS = (
    *("1.10", "1e3", "1E+03", "-0", "-0.0", "0.1000000000000000055511151231257827"),
    *("12345678901234567890123", "1e-400", "9007199254740993", "2.50", "1.0"),
)
STRINGS = (
    *('"\\u00e4"', '"ä"', '"\\/"', '"/"', '"\\ud83d\\ude00"', '"😀"', '"\\u0041"', '"\\n\\t"'),
    *('""', '"\\u2028"', '"\u2028"', '"{\\"a\\":1}"', '"\x7f"'),
)
BLANKS = ("", " ", "\n", "\t", "  \r\n ")
BODIES = 200


def written(random: Random, depth: int = 0) -> str:
    """JSON as no program writes it."""

    def blank() -> str:
        return random.choice(BLANKS)

    kind = random.random() if depth < 4 else 0.0
    if kind < 0.3:
        return random.choice((*NUMBERS, *STRINGS, "true", "false", "null"))
    inner = [written(random, depth + 1) for _ in range(random.randrange(5))]
    if kind < 0.6:
        return f"[{blank()}{f'{blank()},{blank()}'.join(inner)}{blank()}]"
    # Names may repeat, and stand in any order.
    names = ('"b"', '"a"', '"a"', '"\\u0061"', '""', '"__proto__"')
    members = [f"{random.choice(names)}{blank()}:{blank()}{value}" for value in inner]
    return f"{{{blank()}{f'{blank()},{blank()}'.join(members)}{blank()}}}"


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_the_wire_has_what_the_client_wrote(
    relay: Relay, target: Target, modern: bool
) -> None:
    """200 bodies with odd numbers, escapes, blanks and members."""
    agent, random = Agent(relay, modern=modern), Random(16)
    bodies = [written(random) for _ in range(BODIES)]
    assert len({*bodies}) > BODIES // 2
    for body in bodies:
        arguments = f'{{"url": "{target.url}", "body": {body}}}'
        message = agent.message("tools/call", name="preview_webhook_save", arguments="HERE")
        raw = json.dumps(message).replace('"HERE"', arguments).encode()
        answer = await posted(relay, raw, agent.headers("tools/call", "preview_webhook_save"))
        preview = answer.json()["result"]["structuredContent"]
        assert preview["effect"]["body"] == body
        await agent.execute(preview)
    assert [delivery.body.decode() for delivery in target.deliveries] == bodies


async def test_members_outside_of_the_body_may_not_repeat(relay: Relay, target: Target) -> None:
    """Two readers could take different ones."""
    agent = Agent(relay)
    message = agent.message("tools/call", name="preview_webhook_save", arguments="HERE")
    twice = f'{{"url": "{target.url}", "url": "{target.url}"}}'
    raw = json.dumps(message).replace('"HERE"', twice).encode()
    answer = await posted(relay, raw, agent.headers("tools/call", "preview_webhook_save"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
