"""`python -m gateway` is `relay`."""

from gateway.cli.main import relay

relay()
