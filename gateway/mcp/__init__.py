"""The Model Context Protocol: preview and execute as tools of agents."""
