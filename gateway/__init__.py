"""What speaks HTTP, and what goes out over HTTP."""
