"""The peers, started as their documentation says for one machine."""

import json
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.bench.environments import PEERS, python_of, restate_server
from tests.bench.processes import free_port, started
from tests.bench.subjects import Rig, Subject, start
from tests.support.postgres import postgres_server

QUIET_UVICORN = ("--no-access-log", "--log-level", "warning", "--backlog", "2048")
START_PATIENCE = 30.0


def middleware(rig: Rig) -> Subject:
    """asgi-idempotency-header over Redis, before a handler that sends."""
    command = [str(python_of("middleware")), "-m", "uvicorn", "middleware_app:app"]
    subject = start(rig, "middleware", [*command, *QUIET_UVICORN], {}, cwd=PEERS)
    return subject._replace(send_path="/send")


async def dbos(rig: Rig) -> Subject:
    """A DBOS workflow over PostgreSQL."""
    python = str(python_of("dbos"))
    folder = rig.folder / "postgres"
    folder.mkdir()
    server = rig.stack.enter_context(postgres_server(folder))
    env = {"PEER_DATABASE_URL": server.url(await server.create())}
    command = [python, "-m", "uvicorn", "dbos_app:app", *QUIET_UVICORN]
    return start(rig, "dbos", command, env, cwd=PEERS)._replace(send_path="/send")


def restate(rig: Rig) -> Subject:
    """A Restate server before a service of its SDK. Raises Unavailable."""
    service, ingress, admin, node = (free_port() for _ in range(4))
    binary = restate_server()
    bound = f"127.0.0.1:{service}"
    command = [str(python_of("restate")), "-m", "hypercorn", "restate_app:app", "--bind", bound]
    rig.stack.enter_context(started(command, service, cores=rig.cores, env={}, cwd=PEERS))
    env = {
        "RESTATE_BASE_DIR": str(rig.folder / "restate"),
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "DO_NOT_TRACK": "1",
    }
    running = started([str(binary)], ingress, cores=rig.cores, env=env, cwd=rig.folder)
    process = rig.stack.enter_context(running)
    _register(f"http://127.0.0.1:{admin}/deployments", f"http://{bound}")
    return Subject("restate", ingress, process, send_path="/Sender/send")


def _register(admin: str, service: str) -> None:
    """Tell the server about the service, as soon as its administration answers."""
    body = json.dumps({"uri": service}).encode()
    until = monotonic() + START_PATIENCE
    while True:
        try:
            asked = Request(admin, body, {"Content-Type": "application/json"})
            urlopen(asked, timeout=10).close()
        except (URLError, ConnectionError):
            if monotonic() > until:
                raise
            sleep(0.2)
        else:
            return
