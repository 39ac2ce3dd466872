"""typst, called so that it uses no font or file of the machine and keeps nothing of what it set."""

from __future__ import annotations

import datetime
from typing import Any

from hilum.errors import ConfigError

_IDLE = 11  # typst keeps what it laid out until ten compilations went by without it
_POINTS = 72  # of an inch

_PICTURE = b"""#set page(width: auto, height: auto, margin: 0pt, fill: white)
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"))
#image(bytes(sys.inputs.svg), format: "svg", width: float(sys.inputs.width) * 1pt)
"""


def pdf(source: bytes, data: str, created: datetime.datetime, *, tagged: bool) -> bytes:
    """PDF/A-2b (ISO 19005-2). `tagged`: with the structure that a screen reader follows."""
    stamp = int(created.timestamp())
    found = _compiled(source, {"data": data}, format="pdf", pdf_standards=["a-2b"], timestamp=stamp, pdf_tags=tagged)
    return found[0]


def pictures(source: bytes, data: str, kind: str, scale: float) -> list[bytes]:
    """A picture a page: `kind` is svg or png, the latter with `scale` pixels a point."""
    return _compiled(source, {"data": data}, format=kind, ppi=scale * _POINTS)


def picture(svg: str, width: float, scale: float) -> bytes:
    """An SVG as PNG, so many points across, with `scale` pixels a point."""
    return _compiled(_PICTURE, {"svg": svg, "width": f"{width}"}, format="png", ppi=scale * _POINTS)[0]


def _compiled(source: bytes, inputs: dict[str, str], **how: Any) -> list[bytes]:
    try:
        import typst
    except ImportError:
        raise ConfigError("this needs more libraries: pip install 'hilum[reports]'") from None
    try:
        found: Any = typst.compile(source, sys_inputs=inputs, ignore_system_fonts=True, **how)
    finally:
        for _ in range(_IDLE):
            typst.compile(b"", format="svg", ignore_system_fonts=True)
    return list(found) if isinstance(found, list) else [found]
