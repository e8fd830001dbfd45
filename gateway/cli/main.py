"""The command line: `relay serve | smoke | receive | gate | trace`, and the groups of `commands`.

What only one command needs is imported there: `serve` keeps in memory
whatever it has loaded.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

import click

from gateway.cli.admin.channels import channels
from gateway.cli.admin.connections import connections
from gateway.cli.admin.keys import keys
from gateway.cli.admin.signing_secrets import secrets
from gateway.cli.admin.workspaces import workspaces
from gateway.cli.approvals.commands import approvals
from gateway.cli.audit.commands import audit
from gateway.cli.group import CommandLine
from gateway.cli.migrate import migrate
from gateway.cli.options import Duration, http_url
from gateway.cli.policy.commands import policy
from gateway.cli.receipts import receipts
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.version import VERSION

# Six hours of three replicas scraped every 15 s are about 15 MB of JSON.
PORT = click.IntRange(0, 65535)
GATE_WINDOW = Duration(shortest=timedelta(milliseconds=1), longest=timedelta(hours=6))


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="relay")
def relay() -> None:
    """Relay: preview an action, approve it, execute it at most once.

    Settings come from the environment; deploy/README.md lists them.
    """


for command in (
    *(approvals, audit, channels, connections, keys, migrate),
    *(policy, receipts, secrets, workspaces),
):
    relay.add_command(command)


@relay.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=PORT, default=8000, show_default=True, help="The port; 0: a free one.")
@click.option("--reload", is_flag=True, help="Restart when a source file changes.")
def serve(host: str, port: int, reload: bool) -> None:
    """Run a gateway. Without REDIS_URL it starts its own store."""
    settings = _settings()  # before the SDK of OpenTelemetry, which reads variables when loaded
    from gateway.cli import serve as serving
    from gateway.http.server import StartError

    perform = serving.serve_reloading if reload else serving.serve
    try:
        perform(settings, host=host, port=port)
    except StartError as error:
        raise click.ClickException(str(error)) from error


@relay.command()
@click.option("--url", help="The gateway to try; by default a new one.")
@click.option("--target", help="The URL of the webhook; by default a new receiver.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def smoke(url: str | None, target: str | None, as_json: bool) -> None:
    """Preview, execute and replay a webhook; exit status 1 when a step fails.

    A gateway given by --url must be allowed to reach the receiver: set
    EGRESS_ALLOW=127.0.0.1 there, or give a --target that it may reach.
    """
    from gateway.cli.smoke import Report
    from gateway.cli.smoke import smoke as perform
    from gateway.http.server import StartError

    for name, given in (("--url", url), ("--target", target)):
        if given is not None and http_url(given) is None:
            raise click.BadParameter("it must be like http://host:port", param_hint=name)
    report = Report(as_json=as_json)
    try:
        well = asyncio.run(perform(url=url, target=target, settings=_settings(), done=report.add))
    except StartError as error:
        raise click.ClickException(str(error)) from error
    report.end()
    sys.exit(0 if well else 1)


@relay.command()
@click.option("--port", type=PORT, default=9000, show_default=True, help="The port; 0: a free one.")
def receive(port: int) -> None:
    """Receive webhooks on 127.0.0.1 and print them, to try Relay.

    Their signatures are checked with the first secret of ACTIONS_SIGNING_SECRET.
    """
    from gateway.cli.receiver import Delivery, receiver
    from gateway.http.server import ListeningServer, StartError

    def show(delivery: Delivery) -> None:
        signed = {None: "not checked", True: "verified", False: "WRONG"}[delivery.signed]
        text = delivery.body.decode("utf-8", "replace")
        line = {"method": delivery.method, "path": delivery.path, "signature": signed, "body": text}
        click.echo(json.dumps(line))

    secret = next(iter(_settings().signing_secrets), None)
    app = receiver(show, secret=secret.reveal() if secret else None)
    try:
        server = ListeningServer(app, host="127.0.0.1", port=port)
    except StartError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Receiving on {server.url}", err=True)
    server.run()


@relay.command()
@click.option(
    "--prometheus",
    "url",
    required=True,
    envvar="PROMETHEUS_URL",
    show_envvar=True,
    help="The URL of Prometheus, with user:password@ if it needs them.",
)
@click.option(
    "--window",
    type=GATE_WINDOW,
    default="15m",
    show_default=True,
    help="The time to judge, up to now; at most 6h.",
)
@click.option(
    "--baseline-window",
    "baseline",
    type=GATE_WINDOW,
    help="The time before the window, for comparing CPU; as long as the window by default.",
)
@click.option(
    "--job", default="relay", show_default=True, help="The job of the replicas in Prometheus."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def gate(url: str, window: timedelta, baseline: timedelta | None, job: str, as_json: bool) -> None:
    """Judge a release by what Prometheus saw of its replicas.

    Exit status 1 when a criterion fails, 2 when one cannot be judged.
    """
    from gateway.cli.gate import judgement, table
    from gateway.cli.gate.prometheus import Unanswered, Unusable

    try:
        judged = asyncio.run(judgement.gate(url, job, window=window, baseline=baseline))
    except Unusable as error:
        raise click.UsageError(str(error)) from error
    except Unanswered as error:
        table.show_unanswered(error, as_json=as_json)
        sys.exit(2)
    table.show(judged, as_json=as_json)
    sys.exit(judged.exit_status)


@relay.command()
@click.argument("asked", metavar="RUN_ID|TRACE_ID")
@click.option(
    "--url",
    default="http://127.0.0.1:8000",
    envvar="RELAY_URL",
    show_default=True,
    show_envvar=True,
    help="A gateway that knows the run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def trace(asked: str, url: str, as_json: bool) -> None:
    """Print the link to a trace and, where TEMPO_URL is set, its spans as a tree."""
    from gateway.cli.trace import show

    show(asked, gateway=url, settings=_settings(), as_json=as_json)


@relay.command()
def openapi() -> None:
    """Print the OpenAPI document of the API, for client generators."""
    from gateway.api.openapi import document
    from gateway.api.routes import ENDPOINTS

    click.echo(document(ENDPOINTS))


def _settings() -> Settings:
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
