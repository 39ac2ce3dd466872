# ruff: noqa: ASYNC110 - a folder of the test answers at once, and only looking at it tells

from __future__ import annotations

import asyncio
import contextlib
import getpass
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import asyncssh
import pytest

from hilum.connectors import sftp
from hilum.errors import ConfigError
from hilum.outbound.dialer import Dialer
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Outbound, ProbeResult
from hilum.sdk.faults import Fault
from hilum.sdk.outcome import Delivered, Outcome, Transient
from hilum.sdk.testing import DirectDialer, free_port
from hilum.sdk.testing.sftp import PASSWORD, USER, SftpServer, key, sftp_server
from hilum.security.egress import Policy

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
SIGNS = {"type": "basic", "username": USER, "password": PASSWORD}


class Folder:
    """A partner whose server is somewhere else; `place` is its port."""

    module: ClassVar[ModuleType] = sftp
    folders: ClassVar[dict[int, Path]] = {}

    def address(self, folder: Path) -> int:
        port = free_port()
        self.folders[port] = folder / "exchange"
        self.folders[port].mkdir()
        return port

    def through(self, place: int, port: int) -> int:
        self.folders[port] = self.folders[place]
        return port

    def values(self, place: int) -> dict[str, Any]:
        host_key = key().export_public_key().decode()
        url = f"sftp://127.0.0.1:{place}/"
        return {
            "url": url, "authentication": SIGNS, "host_key": host_key, "timeout": 5_000, "poll": 10, "stable_for": 0,
        }  # fmt: skip

    def partner(self, place: int, mood: testing.Mood) -> Any:
        return None if mood == "refuses" else self.listening(place, mood)

    @contextlib.asynccontextmanager
    async def listening(self, place: int, mood: testing.Mood) -> AsyncIterator[SftpServer]:
        async with sftp_server(self.folders[place], place) as server:
            server.says = "there is no room" if mood == "busy" else ""
            if mood == "silent":
                server.gate.clear()
            yield server
            server.gate.set()


class TestConfig(testing.ConfigSuite):
    module: ClassVar[ModuleType] = sftp
    example: ClassVar[dict[str, Any]] = {"url": "sftp://hub@files.example/in"}


class TestSource(Folder, testing.SourceSuite):
    numbers = itertools.count(1)

    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[int]:
        port = self.address(tmp_path)
        async with sftp_server(self.folders[port], port) as self.server:
            yield port

    async def deliver(self, place: int, body: bytes) -> None:
        path = drop(self.folders[place], f"{next(self.numbers):03}.hl7", body)
        while path.exists():
            await asyncio.sleep(0.005)
        if not (path.parent / "archive" / path.name).exists():
            raise AssertionError("it was not taken")

    @contextlib.asynccontextmanager
    async def occupied(self, place: int) -> AsyncIterator[None]:
        self.folders[place].rmdir()
        yield
        self.folders[place].mkdir()


@pytest.mark.ledger_part("S3-06", "a simulator of SFTP")
class TestDestination(Folder, testing.DestinationSuite):
    pass


@pytest.mark.ledger_part("S1-22", "SFTP")
class TestDepositor(Folder, testing.DepositorSuite):
    async def held(self, place: int) -> dict[str, bytes]:
        return SftpServer(self.folders[place]).files()


class TestProbe(Folder, testing.ProbeSuite):
    pass


class OpenSsh(Folder):
    """The same, and the files are OpenSSH's business."""

    def values(self, place: int) -> dict[str, Any]:
        return {**super().values(place), "url": f"sftp://127.0.0.1:{place}{self.folders[place]}"}

    def partner(self, place: int, mood: testing.Mood) -> Any:
        return sftp_server(self.folders[place], place, program=program()) if mood == "takes" else None


class TestOpenSshSource(OpenSsh, TestSource):
    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[int]:
        port = self.address(tmp_path)
        async with sftp_server(self.folders[port], port, program=program()):
            yield port


class TestOpenSshDestination(OpenSsh, testing.DestinationSuite):
    pass


class TestOpenSshDepositor(OpenSsh, TestDepositor):
    pass


def program(name: str = "sftp-server") -> Path:
    """OpenSSH's own."""
    usual = ("/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec", "/usr/lib/ssh", "/usr/sbin")
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *usual)))
    if found is None:
        pytest.skip(f"OpenSSH's {name} absent: apt install openssh-server")
    return Path(found)


@contextlib.asynccontextmanager
async def sshd(folder: Path, own: asyncssh.SSHKey) -> AsyncIterator[tuple[int, str]]:
    """OpenSSH's whole server, as this very user: its port and its host key."""
    port, host = free_port(), asyncssh.generate_private_key("ssh-ed25519")
    (folder / "host").write_bytes(host.export_private_key())
    (folder / "host").chmod(0o600)
    (folder / "keys").write_bytes(own.export_public_key())
    lines = [
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/keys",
        "StrictModes no", "UsePAM yes", "PasswordAuthentication no", f"PidFile {folder}/pid",
        "Subsystem sftp internal-sftp",
    ]  # fmt: skip
    (folder / "config").write_text("\n".join(lines) + "\n")
    running = await asyncio.create_subprocess_exec(
        program("sshd"), "-D", "-e", "-f", folder / "config", stderr=asyncio.subprocess.PIPE
    )
    assert running.stderr is not None
    try:
        said = b""
        while b"listening on" not in said:
            line = await asyncio.wait_for(running.stderr.readline(), 10)
            if not line:
                pytest.skip(f"OpenSSH's sshd absent: it does not run here ({said.decode().strip()[-100:]})")
            said += line
        yield port, host.export_public_key().decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        await running.wait()


async def test_openssh_s_whole_server(tmp_path: Path) -> None:
    own = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "in").mkdir()
    async with sshd(tmp_path, own) as (port, host_key):
        given = {
            "url": f"sftp://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/in", "host_key": host_key,
            "authentication": {"type": "ssh_key", "private_key": own.export_private_key().decode()},
        }  # fmt: skip
        config = read(sftp.Config, given, "")
        found = await sftp.Probe(config, DirectDialer()).probe()
        assert found.reachable, found.detail
        destination = sftp.Destination(config, DirectDialer())
        assert await destination.send(Outbound("7", ADT)) == Delivered("written")
        await destination.close()
        unknown = read(sftp.Config, {**given, "host_key": []}, "")
        assert (await sftp.Probe(unknown, DirectDialer()).probe()).fault is Fault.HOST_KEY
    assert (tmp_path / "in" / "7.hl7").read_bytes() == ADT


def drop(folder: Path, name: str, body: bytes) -> Path:
    """Put a complete file there, as a careful partner does."""
    hidden = folder / f".{name}"
    hidden.write_bytes(body)
    return hidden.rename(folder / name)


def values(server: SftpServer, **changes: Any) -> dict[str, Any]:
    own = {"url": f"sftp://127.0.0.1:{server.port}/", "authentication": SIGNS, "host_key": server.host_key}
    return {**own, "timeout": 5_000, **changes}


async def send(server: SftpServer, *outbounds: Outbound, **changes: Any) -> list[Outcome]:
    destination = sftp.Destination(read(sftp.Config, values(server, **changes), ""), DirectDialer())
    try:
        return [await destination.send(one) for one in outbounds]
    finally:
        await destination.close()


async def probe(server: SftpServer, **changes: Any) -> ProbeResult:
    return await sftp.Probe(read(sftp.Config, values(server, **changes), ""), DirectDialer()).probe()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SftpServer]:
    folder = tmp_path / "exchange"
    folder.mkdir()
    async with sftp_server(folder) as found:
        yield found


# Who is there


@pytest.mark.ledger_part("S3-11", "SFTP: the host key is pinned")
@pytest.mark.ledger_part("S1-08", "SFTP to a server that proved who it is")
async def test_no_host_key_is_believed_by_itself(server: SftpServer) -> None:
    found = await probe(server, host_key=[])
    assert (found.reachable, found.fault) == (False, Fault.HOST_KEY)
    wanted = f"ssh-ed25519 {server.fingerprint}"
    assert found.detail == f"no host key is trusted yet; the server showed host_key: '{wanted}'"
    assert "put it into host_key" in found.advice
    (outcome,) = await send(server, Outbound("7", ADT), host_key=[])
    assert isinstance(outcome, Transient)
    assert not outcome.answered
    assert server.accepted == 0, "nobody signs in at a server that is not known: it would learn the password"
    assert (await probe(server, host_key=wanted)).reachable, "what the probe said is what was missing"
    assert server.files() == {}


@pytest.mark.ledger_part("S3-11", "SFTP: another host key is refused")
async def test_another_host_key_is_refused(server: SftpServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    found = await probe(server, host_key=other)
    assert found.fault is Fault.HOST_KEY
    assert found.detail == (
        f"the server showed another host key than those that are trusted: ssh-ed25519 {server.fingerprint}"
    )
    assert server.accepted == 0


async def test_the_machine_s_own_keys_and_known_hosts_are_not_used(
    tmp_path: Path, server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / ".ssh"
    known.mkdir(mode=0o700)
    (known / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n127.0.0.1 {server.host_key}\n")
    own = asyncssh.generate_private_key("ssh-ed25519")
    (known / "id_ed25519").write_bytes(own.export_private_key())
    server.authorized.append(own.convert_to_public())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await probe(server, host_key=[])).fault is Fault.HOST_KEY
    wrong = {**SIGNS, "password": "canary-another-word"}
    assert (await probe(server, authentication=wrong)).fault is Fault.AUTH


@pytest.mark.parametrize("form", ["key", "fingerprint", "typed", "keyscan", "several"])
async def test_a_key_may_be_written_in_any_usual_form(server: SftpServer, form: str) -> None:
    written: dict[str, str | list[str]] = {
        "key": server.host_key, "fingerprint": server.fingerprint, "typed": f"ssh-ed25519 {server.fingerprint}=",
        "keyscan": f"[127.0.0.1]:{server.port} {server.host_key} comment",
        "several": ["SHA256:" + "A" * 43, server.host_key],
    }  # fmt: skip
    assert (await probe(server, host_key=written[form])).reachable


async def test_of_several_keys_the_server_is_asked_for_the_one_that_is_trusted(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, keys=("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")) as server:
        for one in server.keys:
            public = one.export_public_key().decode().strip()
            found = await probe(server, host_key=public)
            assert found.reachable
            assert found.detail.endswith(f"{public.split()[0]} {one.get_fingerprint()}")


@pytest.mark.ledger_part("S3-47", "SFTP: signs in and lists")
async def test_a_probe_lists_and_changes_nothing(server: SftpServer) -> None:
    drop(server.folder, "a.hl7", ADT)
    found = await probe(server)
    assert found.reachable
    assert found.detail == f"the folder can be listed; the server showed ssh-ed25519 {server.fingerprint}"
    assert server.files() == {"a.hl7": ADT}
    assert [path.name for path in server.folder.iterdir()] == ["a.hl7"]


async def test_a_failure_has_its_class(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sftp://127.0.0.1:{server.port}/gone"
    assert (await probe(server, url=url)).fault is Fault.NOT_FOUND
    assert (await probe(server, authentication={**SIGNS, "username": "nobody"})).fault is Fault.AUTH
    assert (await probe(server, url=f"sftp://127.0.0.1:{free_port()}/")).fault is Fault.REFUSED
    config = read(sftp.Config, values(server), "")
    refused = await sftp.Probe(config, Dialer([], Policy())).probe()
    assert refused.fault is Fault.BLOCKED_BY_POLICY, "the hub's own dialer connects, or nobody"
    broken = {"type": "ssh_key", "username": USER, "private_key": "-----BEGIN PRIVATE KEY-----\ncanary\n"}
    assert (await probe(server, authentication=broken)).fault is Fault.CONFIGURATION


async def test_a_server_that_speaks_something_else_is_no_partner() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listener:
        server = SftpServer(Path())
        server.port = listener.sockets[0].getsockname()[1]
        found = await probe(server)
        assert (found.reachable, found.fault) == (False, Fault.PROTOCOL)
        assert found.advice


@pytest.mark.parametrize("passphrase", ["", "canary-pass"])
@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
async def test_an_ssh_key_signs_in(server: SftpServer, passphrase: str, form: str) -> None:
    own = asyncssh.generate_private_key("ssh-ed25519")
    server.authorized.append(own.convert_to_public())
    try:
        text = own.export_private_key(form, passphrase or None).decode()
    except asyncssh.KeyExportError:
        pytest.skip("bcrypt absent: OpenSSH's own encryption of keys needs it")
    signs = {"type": "ssh_key", "private_key": text, "passphrase": passphrase}
    found = await probe(server, url=f"sftp://{USER}@127.0.0.1:{server.port}/", authentication=signs)
    assert found.reachable, found.detail


# Config


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "sftp:///in"}, {"url": "ftp://hub@a.example/in"}, {"url": "sftp://hub@a.example/in?x=1"},
        {"url": "sftp://a.example/in"}, {"url": "sftp://hub@a.example:99999/in"}, {"url": "sftp://hub@a.example/a%00b"},
        {"url": "sftp://hub:canary@a.example/in"}, {"archive": "."}, {"error": "a/.."}, {"file_name": "current.hl7"},
        {"host_key": "MD5:aa"}, {"host_key": "ssh-dss AAAA"}, {"host_key": "ssh-ed25519 AAAA"}, {"host_key": [""]},
        {"authentication": {"type": "bearer", "token": "canary-token"}}, {"authentication": {"type": "none"}},
        {"authentication": {"type": "ssh_key"}}, {"authentication": {"username": "x"}}, {"exists": "overwrite"},
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(sftp.Config, {"url": "sftp://hub@a.example/in", **wrong}, "")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "folder"),
    [("", "/"), ("/", "/"), ("/in", "/in"), ("//in/", "/in"), ("/a%20b", "/a b"), ("/~", "."), ("/~/in/x", "in/x")],
)
def test_a_folder_is_absolute_or_the_user_s_own(path: str, folder: str) -> None:
    config = read(sftp.Config, {"url": f"sftp://hub@a.example:2222{path}"}, "")
    assert (config.folder, config.address, config.user) == (folder, ("a.example", 2222), "hub")


def test_a_hub_without_such_endpoints_does_not_load_the_library() -> None:
    code = "import sys; from hilum.sdk.registry import discover; discover(); print('asyncssh' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
