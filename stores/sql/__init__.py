"""What outlives Redis: workspaces, API keys, signing secrets, audit, runs. SQLite or PostgreSQL."""
