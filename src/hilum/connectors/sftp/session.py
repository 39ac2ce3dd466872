"""A connection that is signed in at an SFTP server. Here alone is asyncssh imported: 50 ms that other hubs do without.

What a server says about one file becomes an OSError; what ends the connection, or keeps it from being made, Failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, cast

import asyncssh

from hilum.errors import Refused
from hilum.formats import host_keys
from hilum.formats.host_keys import HostKey
from hilum.sdk.authentication import Basic, SshKey
from hilum.sdk.contracts import Dialer
from hilum.sdk.faults import Failed, Fault, Timings, fault_of, reason_of
from hilum.sdk.polling import Look

BLOCK = 4 << 20  # bytes of a file that are on their way at a time
_ALIVE = 15  # seconds of silence after which the server is asked whether it is there
_UNASKED = 3  # questions without an answer that end the connection
_GOODBYE = 2.0  # seconds that closing may take

asyncssh.set_log_level("WARNING")  # a line for each connection and channel tells nobody anything


class _Pinned(asyncssh.SSHClient):
    """Compares the key that the server shows."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted
        self.shown = ""  # as it is to be written into the configuration
        self.fits = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        found = key.get_fingerprint()
        self.shown, self.fits = f"{key.get_algorithm()} {found}", found in self._trusted
        return self.fits


class _Way:
    """How asyncssh is led through the dialer: it takes this for another connection to tunnel through."""

    def __init__(self, dialer: Dialer, limit: float) -> None:
        self._dialer, self._limit = dialer, limit

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        return await self._dialer.connect(factory, host, port, timeout=self._limit)


async def connect(
    dialer: Dialer, host: str, port: int, user: str, authentication: Basic | SshKey | None, trusted: list[HostKey],
    limit: float,
) -> Session:  # fmt: skip
    """`limit`: seconds, of each step. Raises Failed, and Refused where policy forbids the address."""
    client = _Pinned(frozenset(one.fingerprint for one in trusted))
    try:
        async with asyncio.timeout(limit):
            connection = await asyncssh.connect(
                host, port,
                tunnel=cast(Any, _Way(dialer, limit)),
                config=None,  # nor anything else of this machine's: no agent, no keys, no known hosts, no Kerberos
                agent_path=None, gss_host=None, x509_trusted_certs=None, known_hosts=lambda *_: ([],) * 7,
                client_factory=lambda: client,
                server_host_key_algs=host_keys.algorithms(trusted),
                compression_algs=["none"],
                username=user,
                login_timeout=limit,
                keepalive_interval=_ALIVE, keepalive_count_max=_UNASKED,
                **_shown(authentication),
            )  # fmt: skip
            try:
                files = await connection.start_sftp_client(path_errors="surrogateescape")
            except BaseException:
                connection.abort()
                await connection.wait_closed()
                raise
        return Session(connection, files, client.shown, limit)
    except Refused:
        raise
    except TimeoutError:
        raise Failed("no connection in time", Fault.TIMEOUT, Timings(0.0)) from None
    except Exception as error:  # whatever a library says about somebody else's server
        raise Failed(*_why(error, client, bool(trusted)), Timings(0.0)) from None


def _shown(authentication: Basic | SshKey | None) -> dict[str, Any]:
    """What shows who we are. Raises what asyncssh does where a key does not open."""
    if isinstance(authentication, SshKey):
        key = asyncssh.import_private_key(authentication.private_key, authentication.passphrase or None)
        return {"client_keys": [key], "password": None, "password_auth": False, "kbdint_auth": False}
    return {"client_keys": None, "password": authentication.password if authentication else None}


def _why(error: Exception, client: _Pinned, pinned: bool) -> tuple[str, Fault]:
    if isinstance(error, asyncssh.HostKeyNotVerifiable) or (client.shown and not client.fits):
        if pinned:
            return f"the server showed another host key than those that are trusted: {client.shown}", Fault.HOST_KEY
        return f"no host key is trusted yet; the server showed host_key: {client.shown!r}", Fault.HOST_KEY
    if isinstance(error, asyncssh.PermissionDenied):
        return "the partner does not accept our credentials", Fault.AUTH
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return f"our private key does not open: {error}", Fault.CONFIGURATION
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return f"no algorithms in common: {_said(error)}", Fault.PROTOCOL
    if isinstance(error, asyncssh.ChannelOpenError | asyncssh.SFTPError):
        return f"the server offers no SFTP: {_said(error)}", Fault.PROTOCOL
    if isinstance(error, asyncssh.DisconnectError):
        return f"the server ended the connection: {_said(error)}", Fault.PROTOCOL
    return reason_of(error), fault_of(error)


class Session:
    """Files on the server. Several may use it at a time. `host_key`: what the server has shown."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, files: asyncssh.SFTPClient, host_key: str, limit: float
    ) -> None:
        self._connection, self._files, self._limit = connection, files, limit
        self.host_key = host_key
        self._aborted = False

    @property
    def ended(self) -> bool:
        return self._aborted or self._connection.is_closed()

    async def close(self) -> None:
        """Say goodbye; a server that does not listen is left."""
        self._files.exit()
        self._connection.close()
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._connection.wait_closed()
        except TimeoutError:
            self.abort()
            await self._connection.wait_closed()

    def abort(self) -> None:
        """Nobody waits for this server any more."""
        self._aborted = True
        self._connection.abort()

    async def names(self, folder: str) -> AsyncGenerator[Look, None]:
        """Every plain file there; links are none. Raises OSError, Failed."""
        listing = cast("AsyncGenerator[asyncssh.SFTPName, None]", self._files.scandir(folder))
        try:
            while (entry := await self._step(anext(listing, None))) is not None:
                if _is_file(entry.attrs):
                    yield _look(str(entry.filename), entry.attrs)
        finally:
            with contextlib.suppress(OSError, Failed):
                await self._step(listing.aclose())

    async def found(self, path: str) -> Look | None:
        """What is there, also where it is no file: its size is -1 then. Raises OSError, Failed."""
        try:
            attrs = await self._step(self._files.lstat(path))
        except FileNotFoundError:
            return None
        return _look(path.rpartition("/")[2], attrs) if _is_file(attrs) else Look("", -1, 0)

    async def read(self, path: str, most: int) -> tuple[bytes, Look]:
        """At most so many bytes of a file, and how it looks afterwards. Raises OSError, Failed."""
        content = bytearray()
        async with self._opened(path, "rb") as file:
            async for block in self._blocks(file, most):
                content += block
            return bytes(content), _look(path.rpartition("/")[2], await self._step(file.stat()))

    async def holds(self, path: str, size: int, sha256: bytes) -> bool:
        """Is this very content there already? Raises OSError, Failed."""
        look = await self.found(path)
        if look is None or look.size != size:
            return False
        digest = hashlib.sha256()
        async with self._opened(path, "rb") as file:
            async for block in self._blocks(file, size + 1):
                await asyncio.to_thread(digest.update, block)
        return digest.digest() == sha256

    async def write(self, path: str, content: AsyncIterator[bytes]) -> None:
        """A new file with this content, on the server's disk where the server says so. Raises OSError, Failed."""
        offset, size = 0, self._files.limits.max_write_len
        async with self._opened(path, "xb") as file:
            async for block in content:
                parts = [(file, offset + at, block[at : at + size]) for at in range(0, len(block), size)]
                await self._together(_put(*part) for part in parts)
                offset += len(block)
            with contextlib.suppress(NotImplementedError):
                await self._step(file.fsync())
        look = await self.found(path)
        if look is None or look.size != offset:
            raise OSError(errno.EIO, "the server kept another number of bytes than it was sent")

    async def rename(self, old: str, new: str) -> None:
        """Raises FileExistsError where the name is taken, and OSError, Failed."""
        if await self.found(new) is not None:
            raise FileExistsError(errno.EEXIST, "there is such a file already")
        try:
            await self._step(self._files.rename(old, new))
        except OSError as error:
            # version 3 of the protocol has one code for all that goes wrong
            if error.errno == errno.EIO and await self.found(new) is not None:
                raise FileExistsError(errno.EEXIST, "there is such a file already") from None
            raise

    async def replace(self, old: str, new: str) -> None:
        """At once, whatever has the name. Raises NotImplementedError where the server cannot, and OSError, Failed."""
        await self._step(self._files.posix_rename(old, new))

    async def remove(self, path: str) -> None:
        await self._step(self._files.remove(path))

    async def create(self, folder: str) -> None:
        """Raises OSError, Failed; not where it is there."""
        try:
            await self._step(self._files.mkdir(folder))
        except (OSError, NotImplementedError):
            attrs = await self._step(self._files.stat(folder))
            if attrs.type not in (asyncssh.FILEXFER_TYPE_DIRECTORY, asyncssh.FILEXFER_TYPE_UNKNOWN):
                raise

    @contextlib.asynccontextmanager
    async def _opened(self, path: str, mode: str) -> AsyncIterator[asyncssh.SFTPClientFile]:
        attrs = asyncssh.SFTPAttrs(permissions=0o660) if "x" in mode else asyncssh.SFTPAttrs()
        file = await self._step(self._files.open(path, mode, attrs, encoding=None, block_size=0))
        try:
            yield file
        except BaseException:
            with contextlib.suppress(OSError, Failed):
                if not self.ended:
                    await self._step(file.close())
            raise
        await self._step(file.close())

    async def _blocks(self, file: asyncssh.SFTPClientFile, most: int) -> AsyncIterator[bytes]:
        offset, size = 0, self._files.limits.max_read_len
        while offset < most:
            wanted = min(BLOCK, most - offset)
            parts = [(file, offset + at, min(size, wanted - at)) for at in range(0, wanted, size)]
            block = b"".join(await self._together(_get(*part) for part in parts))
            yield block
            offset += len(block)
            if len(block) < wanted:
                return

    async def _together(self, works: Iterator[Coroutine[Any, Any, Any]]) -> list[Any]:
        """Results in order, each in time; none goes on where one failed, or where nobody waits any more."""
        tasks = [asyncio.ensure_future(one) for one in works]
        try:
            return [await self._step(task) for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _step(self, work: Awaitable[Any]) -> Any:
        """One thing that the server is asked for; where its answer is late, it is asked nothing any more."""
        try:
            async with asyncio.timeout(self._limit):
                with _told():
                    return await work
        except TimeoutError:
            self.abort()
            raise Failed("the server does not answer", Fault.TIMEOUT, Timings(0.0)) from None


async def _put(file: asyncssh.SFTPClientFile, offset: int, part: bytes) -> None:
    await file.write(part, offset)


async def _get(file: asyncssh.SFTPClientFile, offset: int, size: int) -> bytes:
    """Less only at the file's end: a server may give as little at a time as it likes."""
    content = b""
    while len(content) < size:
        more = cast(bytes, await file.read(size - len(content), offset + len(content)))
        if not more:
            break
        content += more
    return content


_CODES = {
    asyncssh.SFTPNoSuchFile: (FileNotFoundError, errno.ENOENT, "there is no such file or folder"),
    asyncssh.SFTPNoSuchPath: (FileNotFoundError, errno.ENOENT, "there is no such file or folder"),
    asyncssh.SFTPPermissionDenied: (PermissionError, errno.EACCES, "the server does not permit this"),
    asyncssh.SFTPWriteProtect: (PermissionError, errno.EACCES, "the server's disk is write-protected"),
    asyncssh.SFTPFileAlreadyExists: (FileExistsError, errno.EEXIST, "there is such a file already"),
}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What asyncssh raises, in the words of this module."""
    try:
        yield
    except asyncssh.SFTPOpUnsupported:
        raise NotImplementedError("the server cannot do this") from None
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPBadMessage) as error:
        raise Failed(f"the connection ended: {_said(error)}", Fault.PROTOCOL, Timings(0.0)) from None
    except asyncssh.SFTPError as error:
        kind, code, reason = _CODES.get(type(error), (OSError, errno.EIO, f"the server says: {_said(error)}"))
        raise kind(code, reason) from None
    except asyncssh.Error as error:
        raise Failed(f"the connection ended: {_said(error)}", Fault.PROTOCOL, Timings(0.0)) from None
    except ConnectionError as error:
        raise Failed(f"the connection ended: {reason_of(error)}", Fault.PROTOCOL, Timings(0.0)) from None


def _said(error: asyncssh.Error) -> str:
    """The server's own words, where they are such."""
    return "".join(one for one in error.reason if one.isprintable())[:200]


def _is_file(attrs: asyncssh.SFTPAttrs) -> bool:
    """Plain, or of a server that tells no kinds."""
    return attrs.type in (asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN)


def _look(name: str, attrs: asyncssh.SFTPAttrs) -> Look:
    return Look(name, attrs.size or 0, int(attrs.mtime or 0))
