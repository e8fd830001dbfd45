"""What Relay promises, each with what would break it. Read `flows/` first."""
