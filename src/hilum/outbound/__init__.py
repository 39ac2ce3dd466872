"""The one place that dials out: the egress decision, tokens, time limits, breaker, limiter, back-off."""
