"""Channels of the workspace: who gets the notices of its approvals."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.channels import ChannelRequest
from gateway.api.errors import database_problems
from gateway.api.state import State, actor, workspace
from gateway.approvals.channel_answers import ChannelAnswer
from gateway.http import requests
from gateway.http.responses import json_response
from gateway.timestamps import Timestamp, timestamp
from stores.sql import channels as rows


class CreateChannelRequest(Struct, forbid_unknown_fields=True):
    """`escalation_only`: it gets the reminders of the rules that name it, and nothing else."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    escalation_only: bool = False


class Channel(Struct, kw_only=True):
    id: str
    name: str
    url: str
    escalation_only: bool
    created_at: Timestamp
    created_by: str


class LastAnswer(Struct, kw_only=True):
    """`outcome`: `sent` if it answered 2xx, `refused` if its URL is not allowed. `detail`: why it
    failed.
    """

    outcome: Literal["sent", "failed", "refused"]
    status_code: int | None
    detail: str
    at: Timestamp


class ListedChannel(Channel, kw_only=True):
    """`last_answer`: to a notice or a test; null if there was none in 30 days."""

    last_answer: LastAnswer | None


class TestedBody(LastAnswer, kw_only=True):
    request_id: str


class ChannelBody(Channel, kw_only=True):
    request_id: str


class ChannelsBody(Struct, kw_only=True):
    channels: list[ListedChannel]
    request_id: str


_create_request = msgspec.json.Decoder(CreateChannelRequest)


async def list_channels(request: Request[State]) -> Response:
    with database_problems():
        channels = (await request.state["services"]()).channels
        listed = await channels.list_channels(workspace(request))
    answers = await request.state["channel_tester"].last(workspace(request), listed)
    body = [
        ListedChannel(**_fields(channel), last_answer=_last(answer))
        for channel, answer in zip(listed, answers, strict=True)
    ]
    return json_response(ChannelsBody(channels=body, request_id=request.state["request_id"]))


async def create_channel(request: Request[State]) -> Response:
    asked = await requests.read(request, _create_request)
    wanted = ChannelRequest(asked.name, asked.url, asked.escalation_only)
    with database_problems(check_url="/channels"):
        channels = (await request.state["services"]()).channels
        made = await channels.create_channel(workspace(request), wanted, actor=actor(request))
    return await _changed(request, made, status=201)


async def test_channel(request: Request[State]) -> Response:
    with database_problems():
        channels = (await request.state["services"]()).channels
        channel = await channels.find_channel(workspace(request), request.path_params["channel_id"])
    answer = await request.state["channel_tester"].test(workspace(request), channel)
    fields = _answer_fields(answer)
    return json_response(TestedBody(**fields, request_id=request.state["request_id"]))


async def delete_channel(request: Request[State]) -> Response:
    channel_id = request.path_params["channel_id"]
    with database_problems(check_url="/channels"):
        channels = (await request.state["services"]()).channels
        gone = await channels.delete_channel(workspace(request), channel_id, actor=actor(request))
    return await _changed(request, gone)


async def _changed(
    request: Request[State], channel: rows.Channel, *, status: int = 200
) -> Response:
    await request.state["key_cache"].try_refresh()
    body = ChannelBody(**_fields(channel), request_id=request.state["request_id"])
    return json_response(body, status=status)


def _last(answer: ChannelAnswer | None) -> LastAnswer | None:
    return None if answer is None else LastAnswer(**_answer_fields(answer))


def _answer_fields(answer: ChannelAnswer) -> dict[str, Any]:
    fields = asdict(answer)
    del fields["at_ms"]
    return {**fields, "at": timestamp(answer.at_ms)}


def _fields(channel: rows.Channel) -> dict[str, Any]:
    fields = channel._asdict()
    del fields["workspace"]
    return {**fields, "created_at": timestamp(channel.created_at)}
