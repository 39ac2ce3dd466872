"""The same path through other engines that a package registry has, measured as they come, from outside only.

MessageFoundry (AGPL) is installed into a throw-away environment, configured through its documented files and
spoken to over MLLP; nothing of it is imported, read or kept. Where it can't be measured, the reason is
printed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

import path
import processes
from message_path import in_scratch

# The newest version that each Python can install.
VERSIONS = {"python3.14": "0.5.2", sys.executable: "0.2.1"}
CONFIG = """\
from messagefoundry import MLLP, Send, handler, inbound, outbound, router

inbound("IB_BENCH_ADT", MLLP(port={inbound}), router="all")
outbound("OB_BENCH_ADT", MLLP(host="127.0.0.1", port={outbound}))


@router("all")
def everything(message):
    return ["map"]


@handler("map")
def change(message):
    message["MSH-5"] = "XFORMED"
    return Send("OB_BENCH_ADT", message)
"""


class MessageFoundry(path.Subject):
    """`messagefoundry serve` with its defaults: SQLite, no encryption."""

    def __init__(self, folder: Path, python: Path, partner: int) -> None:
        self.port, http = processes.free_port(), processes.free_port()
        config = folder / "config"
        config.mkdir()
        (config / "bench.py").write_text(CONFIG.format(inbound=self.port, outbound=partner))
        serve = ["serve", "--config", str(config), "--db", str(folder / "peer.db"), "--env", "dev"]
        command = [
            str(python.with_name("messagefoundry")),
            *serve,
            "--port",
            str(http),
            "--log-level",
            "WARNING",
        ]
        super().__init__("MessageFoundry", command, folder / "peer.log")
        self.wait_for(self.port)


def install(folder: Path) -> tuple[Path, str]:
    """A throw-away environment with the newest version this machine can run: its Python and that version."""
    for interpreter, version in VERSIONS.items():
        if not shutil.which(interpreter):
            continue
        environment = folder / "environment"
        subprocess.run([interpreter, "-m", "venv", str(environment)], check=True, capture_output=True)
        python = environment / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "--quiet", f"messagefoundry=={version}"]
        done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise RuntimeError(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        return python, version
    raise RuntimeError("no Python to install it with")


def measure(console: Console, folder: Path, args: argparse.Namespace) -> None:
    """Install, measure with eight senders and with one, print."""
    console.print("installing MessageFoundry into a throw-away environment ...")
    python, version = install(folder)
    with ExitStack() as stack:
        sink = processes.Sink(folder)
        stack.callback(sink.stop)
        peer = MessageFoundry(folder, python, sink.port)
        stack.callback(peer.stop)
        name = f"MessageFoundry {version}"
        found = {(name, senders): [path.measure(peer, sink, senders, args.seconds, mapped=True)] for senders in (8, 1)}
        console.print(path.table(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=processes.HERE.parent / "build", help="on the disk to measure")
    parser.add_argument("--keep", action="store_true", help="keep the folder and the logs")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        in_scratch(args.folder, args.keep, lambda folder: measure(console, folder, args))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        console.print(f"MessageFoundry: not measured: {error}", markup=False)


if __name__ == "__main__":
    main()
