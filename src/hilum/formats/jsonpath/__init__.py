"""JSONPath (RFC 9535): read once, run often, bounded in what a query may look at."""

from __future__ import annotations

from hilum.formats.jsonpath.parser import MAX_QUERY, parse
from hilum.formats.jsonpath.query import MAX_VISITS, MISSING, JsonPathError, Node, Query

__all__ = ["MAX_QUERY", "MAX_VISITS", "MISSING", "JsonPathError", "Node", "Query", "parse"]
