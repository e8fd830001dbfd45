"""Workspaces, API keys, signing secrets and runs, which outlive Redis, in SQLite or PostgreSQL."""

from stores.deferred import defer

defer(__name__, *"api_keys database errors pages runs signing_secrets workspaces".split())
