"""Spans, metrics and log lines of Relay; no feature is known here."""
