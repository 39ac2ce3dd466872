"""Encryption in transit: what listens and what dials speaks TLS 1.2 or newer, and believes nobody unproven."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from hilum.app import Hub
from hilum.errors import ConfigError
from hilum.model import document
from hilum.outbound.dialer import Dialer
from hilum.sdk.registry import discover
from hilum.sdk.testing import free_port
from hilum.sdk.tls import Tls
from hilum.security.egress import LOOPBACK, Policy
from hilum.services.configuration import compile_all
from hilum.settings import Settings

pytestmark = pytest.mark.anyio
OLD = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]
NEW = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
CONFIG = """
version: 1
organization: demo
integrations:
  - name: lab
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllps://127.0.0.1:{mllp}", tls: {{certificate: {chain}, key: {key}}}}}
  - name: portal
    protocol: rest_api
    endpoints:
      - {{name: in, direction: inbound, url: "https://127.0.0.1:{rest}/", tls: {{certificate: {chain}, key: {key}}}}}
"""
PRODUCTION = """
version: 1
organization: demo
environment: production
integrations:
  - name: lab
    protocol: hl7_v2
    endpoints: [{{name: out, direction: outbound, url: "{url}"{more}}}]
"""


class Files:
    """A server's certificate in files; `authority` is who signed it."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.renew()

    def renew(self) -> None:
        self.authority = trustme.CA()
        leaf = self.authority.issue_cert("127.0.0.1", "localhost")
        leaf.cert_chain_pems[0].write_to_path(self.chain)
        leaf.private_key_pem.write_to_path(self.key)

    @property
    def ca(self) -> str:
        return self.authority.cert_pem.bytes().decode()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def only(version: ssl.TLSVersion, files: Files, *, server: bool = False) -> ssl.SSLContext:
    """Speaks one version of TLS, an old one too: OpenSSL has to be asked for those."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is why they are asked for
        context.minimum_version = context.maximum_version = version
    if server:
        context.load_cert_chain(files.chain, files.key)
    else:
        context.load_verify_locations(cadata=files.ca)
    return context


async def spoken(port: int, client: ssl.SSLContext) -> str | None:
    """The protocol that a listener agrees to; None: it refuses."""
    try:
        async with asyncio.timeout(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    except (ssl.SSLError, ConnectionError):
        return None
    version: str = writer.get_extra_info("ssl_object").version()
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()
    return version


@contextlib.asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Somebody else's server, whose TLS is as `context` says."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
async def hub(tmp_path: Path, files: Files) -> AsyncIterator[Hub]:
    """Listens for HTTP, MLLP and REST, all of them over TLS."""
    ports = {"mllp": free_port(), "rest": free_port()}
    config = tmp_path / "hub.yaml"
    config.write_text(CONFIG.format(chain=files.chain, key=files.key, **ports), encoding="utf-8")
    settings = Settings(
        data=tmp_path / "data", http="127.0.0.1:0", certificate=files.chain, key=files.key, config=config
    )  # fmt: skip
    hub = Hub(settings)
    await hub.open()
    try:
        await hub.run()
        yield hub
    finally:
        await hub.close()


def ports(hub: Hub) -> list[int]:
    """Of everything that listens."""
    assert hub.http is not None
    stored = document.load(hub.settings.config.read_text(encoding="utf-8"), "hub.yaml")  # type: ignore[union-attr]  # it has one
    urls = [httpx.URL(endpoint.url) for one in stored.integrations for endpoint in one.endpoints]
    return [hub.http.port, *(int(url.port or 0) for url in urls)]


async def dialled(port: int, tls: ssl.SSLContext | None, tmp_path: Path) -> list[type[Exception]]:
    """The errors of a connection and of a request that the hub opens."""
    dialer, problems = Dialer([tmp_path], Policy(allowed=LOOPBACK)), list[type[Exception]]()
    try:
        transport, _ = await dialer.connect(asyncio.Protocol, "127.0.0.1", port, tls=tls or Tls().sender())
        transport.close()
    except (OSError, TimeoutError) as error:
        problems.append(type(error))
    async with httpx.AsyncClient(transport=dialer.transport(tls=tls)) as client:
        try:
            await client.get(f"https://127.0.0.1:{port}/")
        except httpx.ConnectError as error:
            problems.append(type(error))
    return problems


@pytest.mark.ledger("S0-32")
async def test_nothing_older_than_tls_1_2_is_spoken_and_nobody_unproven_believed(
    hub: Hub, files: Files, tmp_path: Path
) -> None:
    for old in OLD:  # the client and the partner of this test do speak what is refused below
        async with listening(only(old, files, server=True)) as port:
            assert await spoken(port, only(old, files)) is not None
            assert len(await dialled(port, Tls(ca=files.ca).sender(), tmp_path)) == 2
    for port in ports(hub):
        assert [await spoken(port, only(old, files)) for old in OLD] == [None, None]
        assert [await spoken(port, only(new, files)) for new in NEW] == ["TLSv1.2", "TLSv1.3"]
    async with listening(only(ssl.TLSVersion.TLSv1_2, files, server=True)) as port:
        assert await dialled(port, Tls(ca=files.ca).sender(), tmp_path) == []
        for tls in (None, Tls(ca=trustme.CA().cert_pem.bytes().decode()).sender()):  # another authority's
            assert await dialled(port, tls, tmp_path) == [ssl.SSLCertVerificationError, httpx.ConnectError]
    stranger = files.authority.issue_cert("elsewhere.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.configure_cert(context)
    async with listening(context) as port:
        assert await dialled(port, Tls(ca=files.ca).sender(), tmp_path) == [
            ssl.SSLCertVerificationError,
            httpx.ConnectError,
        ]
    for name, value in {"verify": False, "insecure": True, "check_hostname": False, "minimum_version": "1.0"}.items():
        with pytest.raises(ValueError, match="Extra inputs"):  # there is no switch, in whatever environment
            Tls.model_validate({name: value})
    compiled = [
        compile_all(
            document.load(PRODUCTION.format(url=url, more=more), "hub.yaml"), discover(), environ={}, folder=None
        ).problems
        for url, more in (
            ("mllps://192.0.2.9:2575", ""),
            ("mllp://192.0.2.9:2575", ""),
            ("mllp://192.0.2.9:2575", ", plaintext: {reason: inside the VPN, until: 2020-01-01}"),
            ("mllp://192.0.2.9:2575", ", plaintext: {reason: inside the VPN, until: 2999-01-01}"),
        )
    ]
    assert [bool(problems) for problems in compiled] == [False, True, True, False]
    assert "needs TLS" in compiled[1][0]
    assert "ended" in compiled[2][0]


async def test_plain_http_gets_no_answer_where_tls_is_spoken(hub: Hub) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://127.0.0.1:{ports(hub)[0]}/health/live")


async def test_the_api_is_there_over_tls_and_says_so_to_browsers(hub: Hub, files: Files) -> None:
    async with httpx.AsyncClient(verify=only(ssl.TLSVersion.TLSv1_3, files)) as client:
        answer = await client.get(f"https://127.0.0.1:{ports(hub)[0]}/health/live")
    assert answer.json() == {"status": "alive"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_a_renewed_certificate_is_shown_after_a_reload(hub: Hub, files: Files) -> None:
    port = ports(hub)[0]
    before = only(ssl.TLSVersion.TLSv1_3, files)
    files.renew()
    after = only(ssl.TLSVersion.TLSv1_3, files)
    assert [await spoken(port, one) for one in (before, after)] == ["TLSv1.3", None]
    await hub.reload()
    assert [await spoken(port, one) for one in (before, after)] == [None, "TLSv1.3"]
    files.key.write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot load"):
        await hub.reload()
    assert await spoken(port, after) == "TLSv1.3"


@pytest.mark.parametrize("given", [{"certificate": Path("a")}, {"key": Path("a")}])
def test_a_certificate_needs_its_key(tmp_path: Path, given: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        Hub(Settings(data=tmp_path, **given))  # type: ignore[arg-type]  # paths, each by its name


async def test_a_certificate_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    hub = Hub(Settings(data=tmp_path / "data", certificate=tmp_path / "a", key=tmp_path / "b", http="127.0.0.1:0"))
    await hub.open()
    try:
        with pytest.raises(ConfigError, match="cannot load"):
            await hub.run()
    finally:
        await hub.close()


def test_flags_and_variables_name_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_HTTP_CERTIFICATE", "/etc/hilum/chain.pem")
    monkeypatch.setenv("HILUM_HTTP_KEY", "/etc/hilum/key.pem")
    read: Callable[..., Any] = Settings.read
    assert (read().certificate, read().key) == (Path("/etc/hilum/chain.pem"), Path("/etc/hilum/key.pem"))
    assert read(certificate=Path("other.pem")).certificate == Path("other.pem")
