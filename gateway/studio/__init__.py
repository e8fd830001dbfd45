"""Studio: the page on which people decide and look. It calls the public API and nothing else."""
