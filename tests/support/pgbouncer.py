"""A PgBouncer in transaction mode before PostgreSQL, from Debian's package."""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.gateways import until
from tests.support.postgres import Postgres, free_port

CONFIG = """
[databases]
* = user=relay host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@asynccontextmanager
async def pgbouncer(server: Postgres) -> AsyncIterator[int]:
    """Its port."""
    binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        pytest.skip("PgBouncer is not installed; .ci/run installs it")
    port = free_port()
    with TemporaryDirectory(prefix="relay-test-") as folder:
        config = Path(folder) / "pgbouncer.ini"
        config.write_text(CONFIG.format(server=server.port, port=port))
        how: dict[str, Any] = {}
        if os.geteuid() == 0:
            how = {"user": pwd.getpwnam("nobody").pw_uid}
            Path(folder).chmod(0o755)  # noqa: ASYNC240
        process = subprocess.Popen(  # noqa: ASYNC220
            [binary, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
        )

        async def listens() -> bool:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return True
            return False

        try:
            await until(listens)
            yield port
        finally:
            process.terminate()
            process.wait()
