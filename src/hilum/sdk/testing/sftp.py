"""The other end of SFTP, played by a test: a server whose files lie in a folder of the test's.

Its own implementation of the protocol is asyncssh's; with `program` it is OpenSSH's sftp-server, a process for each
connection. Keep to its user, or add a key with `authorized`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import asyncssh

USER, PASSWORD = "hub", "canary-sftp-word"


def key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    """A host key, the same as long as the tests run."""
    return _made(kind)


@functools.cache
def _made(kind: str) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind)


class SftpServer:
    """Listens on the loopback. What `rename` is told: `gate` cleared, it waits; `says` set, it fails with that text."""

    def __init__(self, folder: Path, *, program: Path | None = None, keys: tuple[str, ...] = ("ssh-ed25519",)) -> None:
        """`keys`: the types of its host keys."""
        self.folder = folder
        self.program = program
        self.keys = [key(one) for one in keys]
        self.authorized: list[asyncssh.SSHKey] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.says = ""
        self.accepted = 0  # connections that were signed in, ever
        self.port = 0
        self._server: asyncssh.SSHAcceptor | None = None
        self._connections: dict[asyncssh.SSHServerConnection, asyncio.Event] = {}  # set once it has ended

    @property
    def host_key(self) -> str:
        """The first key's public half, as a configuration has it."""
        return self.keys[0].export_public_key().decode().strip()

    @property
    def fingerprint(self) -> str:
        return str(self.keys[0].get_fingerprint())

    @property
    def received(self) -> list[bytes]:
        """The files that have a name of their own, in the order of their names."""
        return list(self.files().values())

    def files(self) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes()
            for path in sorted(self.folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        }

    async def start(self, port: int = 0) -> None:
        """Listen; the same port again after `stop` unless told otherwise."""
        own: dict[str, Any] = (
            {"encoding": None} if self.program else {"sftp_factory": lambda channel: _Files(channel, self)}
        )
        self._server = await asyncssh.listen(
            "127.0.0.1", port or self.port, server_factory=lambda: _Server(self), server_host_keys=self.keys,
            reuse_address=True, gss_host=None, **own,
        )  # fmt: skip
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Refuse connections from now on, end those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.end()
            await server.wait_closed()

    def end(self) -> None:
        """End the connections that are open now."""
        for one in list(self._connections):
            one.abort()


class _Server(asyncssh.SSHServer):
    def __init__(self, owner: SftpServer) -> None:
        self._owner = owner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._owner._connections[conn] = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._owner._connections.pop(self._connection).set()

    def auth_completed(self) -> None:
        self._owner.accepted += 1

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        return _Program(self._owner.program) if self._owner.program else True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return bool(self._owner.authorized)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key in self._owner.authorized


class _Program(asyncssh.SSHServerSession[bytes]):
    """A program of its own that speaks SFTP on its standard input and output."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._given: asyncio.Queue[bytes] = asyncio.Queue()
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._given.put_nowait(data)

    def eof_received(self) -> bool:
        self._given.put_nowait(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        running = await asyncio.create_subprocess_exec(
            self._program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert running.stdin is not None  # noqa: S101 - they were asked for
        assert running.stdout is not None  # noqa: S101
        giving = asyncio.ensure_future(self._give(running.stdin))
        try:
            while data := await running.stdout.read(65_536):
                if self._channel is not None:
                    self._channel.write(data)
            if self._channel is not None:
                self._channel.exit(0)
        finally:
            giving.cancel()
            await asyncio.gather(giving, return_exceptions=True)
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            await running.wait()

    async def _give(self, to: asyncio.StreamWriter) -> None:
        while data := await self._given.get():
            to.write(data)
            await to.drain()
        to.close()


class _Files(asyncssh.SFTPServer):
    """Its root is the folder."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], owner: SftpServer) -> None:
        super().__init__(channel, chroot=str(owner.folder).encode())
        self._owner = owner
        self._ended = owner._connections[cast(asyncssh.SSHServerConnection, channel.get_connection())]

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._asked()
        super().rename(oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._asked()
        super().posix_rename(oldpath, newpath)

    async def _asked(self) -> None:
        waits = [asyncio.ensure_future(one.wait()) for one in (self._owner.gate, self._ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        if self._ended.is_set():
            raise asyncssh.SFTPConnectionLost("nobody is there any more")
        if self._owner.says:
            raise asyncssh.SFTPFailure(self._owner.says)


@contextlib.asynccontextmanager
async def sftp_server(folder: Path, port: int = 0, **given: Any) -> AsyncIterator[SftpServer]:
    """A server that listens until the end of the block."""
    server = SftpServer(folder, **given)
    await server.start(port)
    try:
        yield server
    finally:
        await server.stop()
