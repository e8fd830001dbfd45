"""What remembers. Knows nothing of HTTP, and answers in classes, not flags."""
