"""Groups of commands, one file each; a command loads what it needs when it runs."""
