"""The running hub: sources that listen, lanes that deliver, jobs that run."""
