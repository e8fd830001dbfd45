"""A person connects an account of theirs to a workspace."""
