"""Spans, metrics and log lines of Relay."""
