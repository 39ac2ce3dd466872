"""The command line: a client of the hub's local API, and the process that runs the hub."""
