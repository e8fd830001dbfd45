"""One file an action family; `registry.py` lists them. An action does no I/O."""
