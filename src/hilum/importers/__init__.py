"""One format a file: what reads data sets."""
