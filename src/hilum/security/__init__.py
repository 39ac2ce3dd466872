"""Keys, sealing, secret references and decisions about what may go out."""
