"""What connecting an account and its access tokens keep in Redis, all of it for a while."""
