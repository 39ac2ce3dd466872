"""A hub in a process of its own, and the systems around it: senders that insist, partners that remember.

Senders and partners live in the test's process, so they survive whatever happens to the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hilum import app
from hilum.model.message import Disposition
from hilum.sdk.testing import free_port
from hilum.settings import Settings

SOURCES = Path(app.__file__).parents[1]


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition; how long is bounded, not judged."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process's doing
            await asyncio.sleep(0.02)


def layout(
    inbound: Mapping[str, Any], outbound: Mapping[str, Any], routes: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """A configuration: endpoints NAME/in and NAME/out with what is special about them.

    Without `routes` every inbound endpoint feeds every outbound one, by a route of its own each.
    """

    def integration(name: str, direction: str, options: Mapping[str, Any]) -> dict[str, Any]:
        endpoint = {"name": direction.removesuffix("bound"), "direction": direction, **options}
        return {"name": name, "protocol": "hl7_v2", "endpoints": [endpoint]}

    every = [
        {
            "name": f"{one}-{other}",
            "from": f"{one}/in",
            "steps": [{"map": {"set": {"MSH-5": other.upper()}}}],
            "to": [f"{other}/out"],
        }
        for one in inbound
        for other in outbound
    ]
    return {
        "version": 1,
        "organization": "ward",
        "environment": "test",
        "integrations": [
            *(integration(name, "inbound", options) for name, options in inbound.items()),
            *(integration(name, "outbound", options) for name, options in outbound.items()),
        ],
        "routes": every if routes is None else list(routes),
    }


def admission(control: str, sequence: int, patient: str) -> bytes:
    """An ADT^A01 that carries its place in its sender's line (MSH-13)."""
    return "\r".join(
        [
            rf"MSH|^~\&|LOAD|{control.rpartition('-')[0]}|HUB|HILUM|20261122083015||ADT^A01^ADT_A01|{control}|P|2.5.1|{sequence}",
            "EVN|A01|20261122083010",
            f"PID|1||{patient}^^^WARD^MR||Okonkwo^Ifeoma^Grace||19760308|F|||Fjordgata 9^^Bergen^^5003^NOR",
            "PV1|1|I|MED2^214^1|E|||D0442^Haugen^Marit|||||||7|A0||||V2026-004417",
            "AL1|1|DA|70618^Penicillin^RXNORM|SV|Anaphylaxis",
            "",
        ]
    ).encode()


class Hub:
    """`hilum serve` on a data folder. `sqlite` or `database` says where its rows are."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], *, data: Path | None = None, database: str | None = None,
        environ: Mapping[str, str] | None = None, prefix: Sequence[str] = (), file_roots: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.folder = folder
        self.data = data or folder / "data"
        self.database = database
        self.config = folder / "hub.yaml"
        self.log = folder / "hub.log"
        self.http = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._environ = {**os.environ, "PYTHONPATH": str(SOURCES), **(environ or {})}
        self._prefix = prefix
        self._roots = file_roots
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        self.document = config
        self.config.write_text(yaml.safe_dump(dict(config)))

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "hilum", *map(str, arguments)]

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start it; `ready` waits until it listens."""
        arguments = ["serve", "--config", self.config, "--data", self.data, "--http", f"127.0.0.1:{self.http}"]
        if self.database:
            arguments += ["--database", self.database]
        for root in self._roots:
            arguments += ["--file-root", root]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *self.command(*arguments)], stdout=log, stderr=log, env=self._environ
            )
        return self.process

    async def start(self) -> None:
        self.spawn()
        await self.ready()

    async def ready(self) -> None:
        ports = [
            int(one["url"].rpartition(":")[2].partition("/")[0])
            for integration in self.document["integrations"]
            for one in integration["endpoints"]
            if one["direction"] == "inbound" and one["url"].startswith(("mllp:", "http:"))
        ]
        async with asyncio.timeout(60):
            while True:
                assert self.process is not None
                assert self.process.poll() is None, self.said()
                with contextlib.suppress(OSError):
                    for port in [*ports, self.http]:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                    return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """kill -9, and the kernel has taken its locks and sockets away."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM; the exit code once it drained."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, seconds)

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """Whatever is left of it after a test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3_000:]

    async def figures(self) -> dict[tuple[str, ...], float]:
        """/metrics: (name, sorted label values …) to value."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{self.http}/metrics")).text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return {(one.name, *(value for _, value in sorted(one.labels.items()))): one.value for one in samples}

    def ask(self, *arguments: object) -> str:
        """What another command says about this hub."""
        return self.run(*arguments, "--data", self.data)

    def run(self, *arguments: object) -> str:
        """What another command says."""
        command = self.command(*arguments)
        done = subprocess.run(command, env=self._environ, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database holds right now, beside the hub."""
        if self.database:
            with psycopg.connect(self.database) as server:
                return server.execute(query).fetchall()
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'hub.db'}?mode=ro", uri=True)) as file:
            return file.execute(query).fetchall()

    def number(self, reference: str) -> int:
        """The id of an endpoint."""
        return next(one for one, name in self.rows("SELECT id, reference FROM endpoint") if name == reference)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[app.Hub]:
        """The stopped hub's store in this process."""
        hub = app.Hub(Settings(data=self.data, database=self.database))
        await hub.open()
        try:
            yield hub
        finally:
            await hub.close()


class Sender:
    """One connection, one message at a time. Without a positive ACK the same message is sent again."""

    def __init__(self, port: int, name: str, patient: Callable[[int], str] | None = None) -> None:
        self.port = port
        self.name = name
        self.patient = patient or (lambda number: f"{name}-{number % 5}")
        self.acknowledged: list[str] = []
        self.codes: Counter[str] = Counter()
        self.lost = 0  # connections that ended before their answer
        self.stopping = False

    async def run(self, count: int | None = None) -> None:
        """Until `count` are acknowledged, or until `stopping`."""
        self.stopping = False
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while not self.stopping and (count is None or len(self.acknowledged) < count):
                number = len(self.acknowledged)
                control = f"{self.name}-{number}"
                try:
                    streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                    code = await self._exchange(*streams, admission(control, number, self.patient(number)))
                except (OSError, asyncio.IncompleteReadError):
                    if streams is not None:
                        self.lost += 1
                        streams[1].close()
                        streams = None
                    await asyncio.sleep(0.02)
                    continue
                self.codes[code] += 1
                if code == "AA":
                    self.acknowledged.append(control)
                else:
                    await asyncio.sleep(0.05)
        finally:
            if streams is not None:
                streams[1].close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> str:
        writer.write(b"\x0b" + body + b"\x1c\r")
        answer = await reader.readuntil(b"\x1c\r")
        fields = answer[answer.index(b"\rMSA|") + 5 :].split(b"\r")[0].split(b"|")
        assert fields[1] == body.split(b"|", 10)[9], "an ACK for another message"
        return fields[0].decode()


@dataclasses.dataclass(slots=True)
class Arrival:
    """What a partner was sent. `life` is the number of the hub's process that sent it."""

    control: str
    patient: str
    body: bytes
    life: int


class Partner:
    """Listens on a port that stays its own while it is down. `judge` gives the answer's code; None: no answer."""

    def __init__(self, judge: Callable[[Arrival], str | None] | None = None) -> None:
        self.port = free_port()
        self.judge = judge or (lambda arrival: "AA")
        self.delay = 0.0
        self.remark = ""  # MSA-3
        self.arrivals: list[Arrival] = []
        self.life = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def up(self) -> Partner:
        make = functools.partial(_Connection, self)
        self._server = await asyncio.get_running_loop().create_server(
            make, "127.0.0.1", self.port, reuse_address=True, backlog=512
        )
        return self

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self._open):
                connection.transport.abort()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        return f"mllp://127.0.0.1:{self.port}"

    @property
    def controls(self) -> list[str]:
        """MSH-10 in the order of arrival, repeats included."""
        return [one.control for one in self.arrivals]

    @property
    def distinct(self) -> int:
        return len({one.control for one in self.arrivals})


class _Connection(asyncio.Protocol):
    def __init__(self, partner: Partner) -> None:
        self._partner = partner
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._partner.connections += 1
        self._partner._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._partner._open.discard(self)

    def data_received(self, data: bytes) -> None:
        *frames, self._buffer = (self._buffer + data).split(b"\x1c\r")
        for frame in frames:
            body = frame.removeprefix(b"\x0b")
            header = body.split(b"|", 10)
            patient = body[body.index(b"\rPID|") :].split(b"|", 4)[3].split(b"^")[0]
            arrival = Arrival(header[9].decode(), patient.decode(), body, self._partner.life)
            self._partner.arrivals.append(arrival)
            code = self._partner.judge(arrival)
            if code is not None and self._partner.delay:
                asyncio.get_running_loop().call_later(self._partner.delay, self._answer, arrival.control, code)
            elif code is not None:
                self._answer(arrival.control, code)

    def _answer(self, control: str, code: str) -> None:
        if not self.transport.is_closing():
            said = self._partner.remark
            text = rf"MSH|^~\&|P|P|HUB|HILUM|20261122||ACK|A{control}|P|2.5.1" + f"\rMSA|{code}|{control}|{said}\r"
            self.transport.write(b"\x0b" + text.encode() + b"\x1c\r")


class Proof:
    """What must be true of a hub that stopped, its senders and its partners."""

    @staticmethod
    async def nothing_lost(hub: Hub, senders: Sequence[Sender], partners: Mapping[str, Partner]) -> None:
        """Every acknowledged message is stored once and delivered everywhere; counters equal the rows."""
        stored = [control for (control,) in hub.rows("SELECT control_id FROM message ORDER BY id")]
        assert len(stored) == len(set(stored)), "a message was stored twice"
        acknowledged = {control for sender in senders for control in sender.acknowledged}
        assert acknowledged <= set(stored), f"lost: {sorted(acknowledged - set(stored))[:5]}"
        for name, partner in partners.items():
            assert set(partner.controls) == set(stored), f"{name} did not get what is stored"
            counted = hub.rows(
                f"SELECT state, count(*) FROM delivery WHERE destination = {hub.number(f'{name}/out')} GROUP BY state"
            )
            assert counted == [(1, len(stored))]
        await Proof.counters(hub)
        Proof.positions(hub)

    @staticmethod
    async def counters(hub: Hub) -> None:
        received = Counter({
            (endpoint, Disposition(disposition)): count
            for endpoint, disposition, count in hub.rows(
                "SELECT endpoint, disposition, count(*) FROM message GROUP BY endpoint, disposition"
            )
        })  # fmt: skip
        ended = hub.rows(
            "SELECT destination, state, count(*) FROM delivery WHERE state > 0 GROUP BY destination, state"
        )
        delivered, failed = Counter[int](), Counter[int]()
        for destination, state, count in ended:
            if state:
                (delivered if state == 1 else failed)[destination] += count
        async with hub.opened() as opened:
            tallies = opened.store.tallies
            assert +tallies.received == received
            assert +tallies.delivered == delivered
            assert +tallies.failed == failed

    @staticmethod
    def positions(hub: Hub) -> None:
        """Gapless within each shard, in the order of the ids."""
        found: dict[int, list[int]] = defaultdict(list)
        for shard, position in hub.rows("SELECT shard, position FROM delivery ORDER BY id"):
            found[shard].append(position)
        for shard, positions in found.items():
            assert positions == list(range(1, len(positions) + 1)), f"shard {shard}"

    @staticmethod
    def order(hub: Hub, partner: Partner, *, keyed: bool = False) -> None:
        """In each lane the stored order; a repeat comes at once, one at most for each life of the hub."""
        stored = [control for (control,) in hub.rows("SELECT control_id FROM message ORDER BY id")]
        patients = {one.control: one.patient if keyed else "" for one in partner.arrivals}
        wanted: dict[str, list[str]] = defaultdict(list)
        for control in stored:
            if control in patients:
                wanted[patients[control]].append(control)
        lanes: dict[str, list[str]] = defaultdict(list)
        repeats: Counter[tuple[str, int]] = Counter()
        for one in partner.arrivals:
            lane = lanes[patients[one.control]]
            if lane and lane[-1] == one.control:
                repeats[patients[one.control], one.life] += 1
            else:
                lane.append(one.control)
        assert lanes == wanted, "out of order, or a repeat that came later than at once"
        assert not repeats or max(repeats.values()) == 1, f"more than one repeat: {repeats.most_common(3)}"
        assert all(life > 0 for _, life in repeats), "a repeat without a kill"


class Workshop:
    """Everything above, for tests that cannot import it; what was made here is ended after the test."""

    proof = Proof
    layout, until, free_port, admission = map(staticmethod, (layout, until, free_port, admission))

    def __init__(self) -> None:
        self._hubs: list[Hub] = []
        self._partners: list[Partner] = []
        self._tasks: list[asyncio.Task[None]] = []

    def hub(self, *arguments: Any, **options: Any) -> Hub:
        self._hubs.append(Hub(*arguments, **options))
        return self._hubs[-1]

    async def partner(self, judge: Callable[[Arrival], str | None] | None = None) -> Partner:
        self._partners.append(await Partner(judge).up())
        return self._partners[-1]

    def sender(self, *arguments: Any) -> Sender:
        return Sender(*arguments)

    def load(self, *senders: Sender) -> Load:
        """Let them run until `stop`."""
        self._tasks += [asyncio.create_task(one.run()) for one in senders]
        return Load(senders, self._tasks[-len(senders) :])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for hub in self._hubs:
            hub.end()
        for partner in self._partners:
            await partner.down()


class Load:
    """Senders at work."""

    def __init__(self, senders: Sequence[Sender], tasks: Sequence[asyncio.Task[None]]) -> None:
        self.senders = senders
        self._tasks = tasks

    @property
    def acknowledged(self) -> int:
        return sum(len(one.acknowledged) for one in self.senders)

    async def more(self, count: int = 1) -> None:
        """Wait until so many more are acknowledged."""
        wanted = self.acknowledged + count
        await until(lambda: self.acknowledged >= wanted)

    async def stop(self) -> int:
        """Each sender's last message is acknowledged; how many there were."""
        for one in self.senders:
            one.stopping = True
        await asyncio.gather(*self._tasks)
        return self.acknowledged


@pytest.fixture
async def e2e() -> AsyncIterator[Workshop]:
    workshop = Workshop()
    yield workshop
    await workshop.close()
