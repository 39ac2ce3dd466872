"""One format a file: what writes a data set."""
