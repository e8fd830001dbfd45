"""`relay channels`: who gets the notices of a workspace's approvals."""

import json
from typing import TYPE_CHECKING

import click

from gateway.admin.channels import ChannelRequest
from gateway.cli.admin.session import CLI, ask
from gateway.cli.output import Document, minute, print_list, time

if TYPE_CHECKING:
    from stores.sql.channels import Channel

in_workspace = click.option(
    "--workspace", default="default", show_default=True, help="The workspace of the channel."
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
def channels() -> None:
    """Manage channels: webhooks that get the notices of approvals."""


@channels.command()
@click.argument("name")
@click.argument("url")
@click.option("--escalation-only", is_flag=True, help="Only reminders of rules that name it.")
@in_workspace
@as_json_option
def create(name: str, url: str, escalation_only: bool, workspace: str, as_json: bool) -> None:
    """Create a channel. The gateway must be allowed to reach the URL."""
    wanted = ChannelRequest(name, url, escalation_only)
    made = ask(lambda services: services.channels.create_channel(workspace, wanted, actor=CLI))
    if as_json:
        click.echo(json.dumps(document(made), indent=2, ensure_ascii=False))
    else:
        click.echo(f"Channel {made.id} of the workspace {workspace} is created.")


@channels.command(name="list")
@in_workspace
@as_json_option
def list_(workspace: str, as_json: bool) -> None:
    """List the channels of a workspace by name."""
    listed = ask(lambda services: services.channels.list_channels(workspace))
    print_list("channels", [document(one) for one in listed], _row, as_json=as_json)


@channels.command()
@click.argument("channel_id")
@in_workspace
def delete(channel_id: str, workspace: str) -> None:
    """Delete a channel."""
    ask(lambda services: services.channels.delete_channel(workspace, channel_id, actor=CLI))
    click.echo(f"Channel {channel_id} is deleted.")


def document(channel: "Channel") -> Document:
    return {**channel._asdict(), "created_at": time(channel.created_at)}


def _row(channel: Document) -> Document:
    return {
        "id": channel["id"],
        "name": channel["name"],
        "gets": "escalations" if channel["escalation_only"] else "all notices",
        "url": channel["url"],
        "created": minute(channel["created_at"]),
    }
