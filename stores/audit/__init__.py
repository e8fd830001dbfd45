"""The audit in the database: a signed chain of entries for each workspace."""

from stores.deferred import defer

defer(__name__, *"chain pages retention signatures".split())
