"""What Relay says about itself."""
