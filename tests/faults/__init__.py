"""Failures around Relay, and what Relay does then."""
