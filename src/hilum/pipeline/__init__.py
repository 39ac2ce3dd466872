"""A route compiled to a pure function: message in, disposition and (destination, message) out."""

from __future__ import annotations

from hilum.pipeline.compiler import compile_route, used
from hilum.pipeline.flow import Output, Pipeline, Routed, Trace

__all__ = ["Output", "Pipeline", "Routed", "Trace", "compile_route", "used"]
