"""Follow approvals: a line for each that starts to wait, and one for each that no longer does."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import click
import msgspec

from gateway.api.deciding.listed import ListedApproval
from gateway.cli.approvals.gateway import Gateway, Refused, Unreachable
from gateway.cli.approvals.shown import folded, spelled, terminal_width

ENDED = {
    "approved": "approved",
    "executed": "approved and executed",
    "unused": "approved, and not executed in time",
}


class Watched:
    """What waits, as it was last seen."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: dict[str, ListedApproval] = {}

    def changes(self) -> Iterator[ListedApproval]:
        """What has changed since the last call; at first everything that waits."""
        now = {it.preview_id: it for it in self._gateway.pending()}
        for preview_id in [it for it in self._waiting if it not in now]:
            found = self._found(preview_id)
            if found.state == "pending":  # it moved between two pages of the list
                now[preview_id] = found
            else:
                del self._waiting[preview_id]
                yield found
        for preview_id, it in reversed(now.items()):
            if preview_id not in self._waiting:
                self._waiting[preview_id] = it
                yield it

    def _found(self, preview_id: str) -> ListedApproval:
        try:
            return self._gateway.find(preview_id)
        except Refused as error:
            if error.status != 404:
                raise
            return msgspec.structs.replace(self._waiting[preview_id], state="gone")


def follow(gateway: Gateway, *, every: timedelta, as_json: bool) -> None:
    """Print changes until interrupted. Raises Refused; a gateway that does not answer is asked
    again.
    """
    watched, away = Watched(gateway), False
    while True:
        try:
            for it in watched.changes():
                _print(it, as_json=as_json)
            away = False
        except Unreachable as error:
            if not away:
                click.echo(f"{error.message}; trying again", err=True)
            away = True
        time.sleep(every.total_seconds())


def _print(it: ListedApproval, *, as_json: bool) -> None:
    if as_json:  # in ASCII: a terminal obeys more than what JSON escapes
        click.echo(json.dumps(msgspec.to_builtins(it)))
        return
    for part in folded(line(it), terminal_width()):
        click.echo(part)


def line(it: ListedApproval) -> str:
    words = f"{spelled(it.preview_id)} {spelled(ENDED.get(it.state, it.state))}"
    if it.state == "pending":
        asked = f"{spelled(it.requester)} asks for {spelled(it.summary or it.action)}"
        return f"{words}: {asked}, by {spelled(it.decide_by)}"
    decisions = [
        f"{spelled(one.decision)} by {spelled(one.subject)}"
        + (f" ({spelled(one.reason)})" if one.reason else "")
        for one in it.deciders
    ]
    return f"{words}: {', '.join(decisions)}" if decisions else words
