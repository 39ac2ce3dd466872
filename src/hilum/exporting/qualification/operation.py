"""Self-tests that are really run on this hub while the pack is made (operational qualification)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError, StoreError
from hilum.exporting.definition import Asked
from hilum.exporting.means import Means, Watch
from hilum.formats import hl7v2
from hilum.security.envelope import Place
from hilum.security.sealed_file import new_key
from hilum.security.verdict import Signed, Verdict, judge
from hilum.store import exports, files, organizations
from hilum.store.trail import Reader

log = telemetry.logger("jobs")
MESSAGE = (
    "MSH|^~\\&|HIS|WARD|HUB|LAB|20260102030405||ADT^A01^ADT_A01|Q1|P|2.5|||||DEU|UNICODE UTF-8\r"
    "PID|1||4711^^^HIS^MR~0815^^^REG||M\\T\\LLER-ŌKUBO^EVA||19700101|F\rPV1|1|I|W1^101^1\r"
).encode()
RULES = {
    "set": {"MSH-5": "LAB"}, "compute": {"PID-5.2": "lower(PID-5.2)"}, "move": {"PV1-4": "PV1-2"},
    "examples": [{
        "input": MESSAGE.decode(), "expected": {"MSH-5": "LAB", "PID-5.2": "eva", "PV1-4": "I", "PV1-2": ""},
    }],
}  # fmt: skip
_CONTENT = bytes(range(256)) * 512


class Failed(Exception):
    """What a self-test found wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """`began` in microseconds, `took` in seconds. `found`: what was seen, or what is wrong."""

    name: str
    about: str
    passed: bool
    found: str
    began: int
    took: float


Test = Callable[[Means, Asked, Watch], Awaitable[str]]
"""Says what it saw. Raises Failed, HilumError, OSError."""


async def run(means: Means, asked: Asked, watch: Watch) -> list[Ran]:
    """All of them, whatever one finds. Raises Conflict where nobody wants it any more."""
    done = []
    for name, about, test in TESTS:
        watch.check()
        began, since = clock.micros(), clock.monotonic()
        try:
            passed, found = True, await test(means, asked, watch)
        except (Failed, HilumError, OSError) as error:
            watch.check()
            passed, found = False, str(error)
        except Exception as error:  # a self-test that breaks has failed; the others are still wanted
            log.exception("a self-test broke", test=name)
            passed, found = False, f"internal error: {type(error).__name__}"
        done.append(Ran(name, about, passed, found, began, clock.monotonic() - since))
    return done


async def _codec(means: Means, asked: Asked, watch: Watch) -> str:
    message = hl7v2.Message.parse(MESSAGE)
    if bytes(message) != MESSAGE:
        raise Failed("the message that was written is not the one that was read")
    read = {path: str(message.get(path)) for path in ("MSH-9.1", "PID-3[2].1", "PID-5.1")}
    if read != {"MSH-9.1": "ADT", "PID-3[2].1": "0815", "PID-5.1": "M&LLER-ŌKUBO"}:
        raise Failed(f"read {read}")
    return f"{len(MESSAGE)} bytes read and written again, the same; 3 values as they should be"


async def _sealing(means: Means, asked: Asked, watch: Watch) -> str:
    organization, identifier = asked.scope.organization, asked.export.uuid
    here, there = (Place(organization, "self-test", identifier, one) for one in ("here", "there"))
    sealed, number = await means.vault.seal(here, MESSAGE)
    if MESSAGE[:32] in sealed:
        raise Failed("what was sealed can be read")
    if await means.vault.open(here, sealed) != MESSAGE:
        raise Failed("what was opened is not what was sealed")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for place, content in ((there, sealed), (here, changed)):
        with contextlib.suppress(HilumError):
            await means.vault.open(place, content)
            raise Failed("it opens at another place, or changed")
    return f"sealed under the organization's key {number} and opened; changed or elsewhere it does not open"


async def _mapping(means: Means, asked: Asked, watch: Watch) -> str:
    return await asyncio.to_thread(_mapped)


def _mapped() -> str:
    from hilum.sdk.config import read
    from hilum.sdk.contracts import StepContext
    from hilum.steps.map import Map

    step = Map(read(Map.Config, RULES, "self-test"), StepContext("UTC", "self-test", str))
    (tried,) = step.tried()
    if tried.problems:
        raise Failed("; ".join(tried.problems))
    return f"{len(tried.expected)} values of the example as they should be"


async def _chain(means: Means, asked: Asked, watch: Watch) -> str:
    found = await asyncio.to_thread(_judged, means, asked, watch)
    if not found.intact:
        more = f", and {len(found.faults) - 1} more" if len(found.faults) > 1 else ""
        raise Failed(f"{found.faults[0].what}{more}")
    return (
        f"{found.events:,} events and {found.messages:,} messages are as {found.checkpoints:,} checkpoints say; "
        f"{found.unprotected:,} events are newer"
    )


def _judged(means: Means, asked: Asked, watch: Watch) -> Verdict:
    """By the checkpoints' copies in the database: `hilum audit verify` does it by their files."""
    store = means.store
    reader = Reader(store.database, store.sealer, asked.scope.organization, lambda: _unwanted(watch))
    signed = Signed(reader.name(), store.evidence.public, (f"{one.line()}\n" for one in reader.checkpoints()))
    unsealed = reader.unsealed()
    return judge(signed, reader.events(), reader.messages(bodies=False), unsealed)


def _unwanted(watch: Watch) -> bool:
    try:
        watch.check()
    except Conflict:
        return True
    return False


async def _rows(means: Means, asked: Asked, watch: Watch) -> str:
    """On the export's own row, where its progress is written anyway: whoever does so meanwhile writes the same."""
    own, one, before = means.store.within(asked.scope.organization), asked.export, watch.done
    for mark in (before + 7, before):
        watch.done = mark
        await own.write(exports.progress, one, mark, watch.rows)
        watch.check()
        now = (await own.load(exports.find, one.organization, one.uuid)).done
        if now != mark:
            raise Failed(f"{mark} was written, and {now} read")
    return "two values written, committed and read again by another connection"


async def _files(means: Means, asked: Asked, watch: Watch) -> str:
    owner = (await means.store.within(asked.scope.organization).read(organizations.get, asked.scope.organization)).uuid
    path = files.path_of(means.store.folder, files.PACKAGES, owner, asked.export.uuid)
    return await asyncio.to_thread(_written, path.with_name(f"{path.name}.self-test{files.PARTIAL}"))


def _written(path: Path) -> str:
    from hilum.store import dataset_files  # brings pyarrow, which a hub at work does without

    key, bound = new_key(), b"self-test"
    try:
        with dataset_files.written(path, key, bound) as stream:
            stream.write(_CONTENT)
        if _CONTENT[:256] in path.read_bytes():
            raise Failed("the file can be read without its key")
        with dataset_files.opened(path, key, bound) as stream:
            if stream.read() != _CONTENT:
                raise Failed("what was read is not what was written")
        with contextlib.suppress(StoreError), dataset_files.opened(path, new_key(), bound) as stream:
            stream.read()
            raise Failed("another key opens the file")
    finally:
        path.unlink(missing_ok=True)
    return f"{len(_CONTENT):,} bytes written sealed, on the disk, and read again; another key does not open them"


TESTS: tuple[tuple[str, str, Test], ...] = (
    ("HL7 v2", "A message is read and written again: repetitions, escapes, UTF-8.", _codec),
    ("Sealing", "A secret is sealed and opened; moved or changed it does not open.", _sealing),
    ("Mapping", "A mapping's stored example is run.", _mapping),
    ("Audit chain", "The chain and the messages' hashes, against the signed checkpoints.", _chain),
    ("Store", "Rows are written, committed and read.", _rows),
    ("Files", "A sealed file is written and read.", _files),
)
