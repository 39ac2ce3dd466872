"""Reports: of connections, for a record of processing activities."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response

from hilum import clock
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.formats import csv_table
from hilum.services.connections import COLUMNS, ConnectionReport

router = Surface("/reports")
_CSV = {csv_table.MEDIA_TYPE: {"example": f"{','.join(COLUMNS)}\r\n", "schema": {"type": "string"}}}


@router.get("/connections", response_model=ConnectionReport, responses={200: {"content": _CSV}})
@allow("connections:read", audits="report.connections")
async def report_connections(
    request: Request,
    services: Used,
    act: Acting,
    format: Annotated[Literal["json", "csv"] | None, Query(description="By default what Accept says.")] = None,
) -> Any:
    """Every endpoint: host, data categories, legal basis, last test, sync and access, the TLS version seen."""
    found = await services.connections.report(act.scope)
    chosen = format or ("csv" if csv_table.MEDIA_TYPE in request.headers.get("accept", "") else "json")
    act.details |= {"format": chosen, "connections": len(found.connections)}
    if chosen == "json":
        return found
    name = f"hilum-connections-{clock.now():%Y%m%dT%H%M%SZ}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(csv_table.lines(found.rows()), media_type=f"{csv_table.MEDIA_TYPE}; charset=utf-8", headers=headers)
