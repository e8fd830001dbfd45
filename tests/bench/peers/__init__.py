"""What a user might take instead of Relay, each with packages in an environment of its own."""
