"""Actions: one file for each provider family. An action does no I/O."""
