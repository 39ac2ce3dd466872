"""What a plug-in sees, and all that it may import: contracts, Config, outcomes, registry, conformance suites."""
