"""What the hub talks about: plain values, enums and state tables."""
