"""What Relay does, a story a file. Start with `test_preview_and_execute.py`."""
