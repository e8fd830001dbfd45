"""The checks of /ready, in their order."""

CHECKS = (
    *("process", "store", "writes", "subscription", "eviction", "persistence", "clock", "memory"),
    *("keys", "audit", "connections"),
)
