"""The one place that dials out: the egress decision, time limits, breaker, limiter, back-off."""
