"""Store, then acknowledge: what every received message passes before anyone is told that it arrived."""
