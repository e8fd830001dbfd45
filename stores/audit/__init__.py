"""The audit in the database: a signed chain of entries for each workspace."""
