"""What outlives Redis: workspaces, API keys, signing secrets, runs. SQLite or PostgreSQL."""

from stores.deferred import defer

defer(__name__, *"api_keys database errors pages runs signing_secrets workspaces".split())
