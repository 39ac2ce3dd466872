"""What a route can do with a message: one verb a file; none knows another."""
