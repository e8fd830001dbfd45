"""Connections: credentials of a workspace at providers and other hosts."""
