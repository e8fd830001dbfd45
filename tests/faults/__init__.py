"""What goes wrong around Relay, and what it does then."""
