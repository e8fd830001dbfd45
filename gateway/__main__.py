"""`python -m gateway` is `relay`."""

from gateway.cli import relay

relay()
