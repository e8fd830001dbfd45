"""Measures what Relay costs, beside a floor that does the same work without its features."""
