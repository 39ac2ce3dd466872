"""What the operator says outside the configuration file: where data lives, what to listen on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

DATA = "hilum-data"
HTTP = "127.0.0.1:8080"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Flags of the CLI win over HILUM_… variables, which win over the defaults."""

    data: Path
    database: str | None = None  # postgresql://…; None: SQLite in the data folder
    http: str | None = HTTP
    config: Path | None = None
    file_roots: tuple[Path, ...] = ()  # folders that file endpoints may use; the config's folder and data/files always
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(
        cls,
        *,
        data: Path | None = None,
        database: str | None = None,
        http: str | None = None,
        config: Path | None = None,
        file_roots: list[Path] | None = None,
    ) -> Self:
        environ = dict(os.environ)
        roots = file_roots or [Path(one) for one in environ.get("HILUM_FILE_ROOTS", "").split(os.pathsep) if one]
        return cls(
            data=data or Path(environ.get("HILUM_DATA", DATA)),
            database=database or environ.get("HILUM_DATABASE"),
            http=http or environ.get("HILUM_HTTP", HTTP),
            config=config or (Path(environ["HILUM_CONFIG"]) if environ.get("HILUM_CONFIG") else None),
            file_roots=tuple(roots),
            environ=environ,
        )
