"""Workspaces, API keys, signing secrets and runs, which outlive Redis, in SQLite or PostgreSQL."""
