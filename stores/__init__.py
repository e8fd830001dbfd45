"""The stores. They know nothing of HTTP, and answer in classes, not flags."""
