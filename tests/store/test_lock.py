"""One process holds a data folder, whoever comes second is told which, and no death leaves it locked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hilum.errors import StoreLocked
from hilum.store.lock import FolderLock

HOLD = textwrap.dedent("""
    import pathlib, sys, time
    from hilum.store.lock import FolderLock
    lock = FolderLock(pathlib.Path(sys.argv[1])).acquire()
    print("held", flush=True)
    time.sleep(60)
""")


def test_a_second_holder_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=rf"in use by another hub \(pid {process.pid}\)"):
            FolderLock(tmp_path).acquire()
        os.kill(process.pid, signal.SIGKILL)
    lock = FolderLock(tmp_path).acquire()
    assert (tmp_path / "hub.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_it_is_free_after_its_release(tmp_path: Path) -> None:
    first = FolderLock(tmp_path).acquire()
    with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"):
        FolderLock(tmp_path).acquire()
    first.release()
    first.release()
    second = FolderLock(tmp_path).acquire()
    second.release()


def test_the_lock_is_its_owners_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path).acquire()
    assert (tmp_path / "hub.lock").stat().st_mode & 0o777 == 0o600
    lock.release()


def test_a_child_that_runs_another_program_does_not_keep_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path).acquire()
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        again = FolderLock(tmp_path).acquire()
        again.release()
        child.kill()
