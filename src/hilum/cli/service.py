"""`hilum service install`: a systemd unit that runs the hub as its own user, and brings it back whatever happens."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hilum.cli import output
from hilum.errors import ConfigError, Conflict, HilumError, Refused

app = typer.Typer(no_args_is_help=True, help="Run the hub as a service of the system.")

UNIT = """\
[Unit]
Description=Hilum, healthcare integration hub
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=$user
Group=$user
ExecStart=$command serve --config $config --data $data --http $http
ExecReload=/bin/kill -HUP $$MAINPID
Restart=always
RestartSec=2
KillSignal=SIGTERM
TimeoutStopSec=60
LimitNOFILE=65536
UMask=0077
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
ReadWritePaths=$data

[Install]
WantedBy=multi-user.target
"""


@app.callback()
def service() -> None:
    """Run the hub as a service of the system."""


@app.command()
def install(
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML file or folder.")] = Path("/etc/hilum/hub.yaml"),
    data: Annotated[Path, typer.Option("--data", "-d", help="The data folder.")] = Path("/var/lib/hilum"),
    user: Annotated[str, typer.Option(help="The user that the hub runs as; made if missing.")] = "hilum",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Health and metrics.")] = "127.0.0.1:8080",
    name: Annotated[str, typer.Option(help="The unit's name.")] = "hilum",
    units: Annotated[Path, typer.Option(help="Where the system keeps its units.")] = Path("/etc/systemd/system"),
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
) -> None:
    """Write a systemd unit, make its user and data folder, and show the recovery key. Starts nothing yet.

    Examples:

        hilum service install --print

        sudo hilum service install --config /etc/hilum/hub.yaml
    """
    unit = render(config, data, user, http)
    if only_print:
        typer.echo(unit, nl=False)
        return
    if os.geteuid() != 0:
        raise Refused("this writes to /etc and makes a user, so it needs root; see it first with --print")
    path = units / f"{name}.service"
    if path.exists():
        raise Conflict(f"{path} exists already; remove it, or choose another --name")
    if not config.exists():
        raise ConfigError(f"{config} does not exist; write it first, and try it with: hilum check {config}")
    _make_user(user, data)
    _make_folder(user, data)
    path.write_text(unit, "utf-8")
    output.out.print(f"wrote {path}", soft_wrap=True)
    output.hint(f"Next: systemctl daemon-reload && systemctl enable --now {name}")
    output.hint(f"Then: systemctl status {name}; journalctl -u {name}; hilum status --data {data}")


def render(config: Path, data: Path, user: str, http: str) -> str:
    """The unit's text. Raises ConfigError where a path cannot stand in it."""
    beside = Path(sys.executable).parent / "hilum"
    command = str(beside) if beside.exists() else shutil.which("hilum") or f"{sys.executable} -m hilum"
    values = {"config": str(config.resolve()), "data": str(data.resolve()), "user": user, "http": http}
    for value in values.values():
        if any(one.isspace() or one in "%$\"'\\" for one in value):
            raise ConfigError(f"{value!r} cannot stand in a unit: it has spaces or special characters")
    return string.Template(UNIT).substitute(values, command=command)


def _make_user(user: str, home: Path) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        command = ["useradd", "--system", "--home-dir", str(home), "--no-create-home", "--shell", "/usr/sbin/nologin"]
        made = subprocess.run([*command, user], capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        if made.returncode:
            raise HilumError(f"cannot make the user {user}: {made.stderr.strip()}") from None
        output.out.print(f"made the user {user}")


def _make_folder(user: str, data: Path) -> None:
    """Opens the hub once, so that the recovery key comes to this terminal and not to the journal."""
    from hilum.app import Hub
    from hilum.cli.serve import show_recovery_key
    from hilum.settings import Settings

    hub = Hub(Settings.read(data=data))

    async def once() -> None:
        await hub.open()
        await hub.close()

    asyncio.run(once())
    show_recovery_key(hub)
    entry = pwd.getpwnam(user)
    for path in (data, *data.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
