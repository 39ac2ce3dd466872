"""Use cases for people, the API and the CLI: one noun a file."""
