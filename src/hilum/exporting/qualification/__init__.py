"""What a validation pack shows: requirements and their tests, what is installed, and that it works here."""
