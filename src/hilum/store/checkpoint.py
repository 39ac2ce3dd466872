"""Moves SQLite's write-ahead log into the database beside the writer, and leaves the last bit to the writer.

A passive checkpoint never catches up with a busy writer, so the log would grow for ever; a full one on the
writer's thread would hold acknowledgements. So a thread copies the bulk, then the writer copies what is left,
between two commits, after which the log starts anew.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from hilum import telemetry
from hilum.store.writer import Writer

_PERIOD = 0.5  # seconds between looks
_COMMITS = 400  # commits that make a checkpoint worth while; fewer wait for the 20th look
log = telemetry.logger("store")


class Checkpointer:
    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hilum-checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        done, looks = self._writer.commits, 0
        while not self._stop.wait(_PERIOD):
            fresh, looks = self._writer.commits - done, looks + 1
            if not fresh or (fresh < _COMMITS and looks < 20):
                continue
            done, looks = self._writer.commits, 0
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            except sqlite3.Error as error:
                log.warning("checkpoint failed", reason=str(error))
                continue
            self._writer.checkpoint()
        connection.close()
