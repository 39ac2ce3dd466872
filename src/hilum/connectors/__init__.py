"""One URL scheme family a file: a Config, and a Source, Destination and Probe as far as it has them."""
