"""`hilum send`: files of HL7 messages to an MLLP listener, one after the other, each with its answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from hilum import clock
from hilum.cli import output
from hilum.cli.hl7_files import read_messages
from hilum.cli.options import Json
from hilum.errors import FormatError
from hilum.formats.hl7v2 import Message

KEPT = 20  # refusals whose text is shown


@dataclasses.dataclass(slots=True)
class Tally:
    """What became of the messages."""

    codes: Counter[str] = dataclasses.field(default_factory=Counter)
    refusals: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # control id, answer
    seconds: float = 0.0
    unsent: int = 0

    @property
    def failed(self) -> int:
        return self.unsent + sum(count for code, count in self.codes.items() if code not in ("AA", "CA"))


def send(
    files: Annotated[list[Path], typer.Argument(help="HL7 files: one message, several, or a batch; - is stdin.")],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="mllp://host:port or mllps://host:port.")],
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Send this many in all, starting over with new control ids when the files end."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, help="At most this many a second.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for an answer.")] = 30.0,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file of the authorities to trust, for mllps.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file with our certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with its key.")] = None,
    server_name: Annotated[str | None, typer.Option(help="The name that the certificate must carry.")] = None,
    as_json: Json = False,
) -> None:
    """Send HL7 messages over MLLP.

    Each waits for its acknowledgement. Exit code 1 if one is not positive.

    Examples:

        hilum send admit.hl7 --to mllp://127.0.0.1:2575

        hilum send *.hl7 --to mllp://127.0.0.1:2575 --count 1000 --rate 50

        hilum send batch.hl7 --to mllps://hub.example:2575 --tls-ca ca.pem
    """
    from hilum.connectors.mllp import Config
    from hilum.sdk.config import read

    tls = {"ca": tls_ca, "certificate": tls_certificate, "key": tls_key, "server_name": server_name}
    values = {
        "url": to, "timeout": round(timeout * 1000),
        "tls": {name: str(value) for name, value in tls.items() if value is not None},
    }  # fmt: skip
    config = read(Config, values, "--to")
    messages = [message for path in files for message in read_messages(path)]
    wanted = count or len(messages)
    tally = asyncio.run(_send(config, _repeat(messages, wanted), wanted, rate))
    if as_json:
        output.show_json({"sent": sum(tally.codes.values()), "unsent": tally.unsent, "failed": tally.failed,
                          "codes": dict(tally.codes), "seconds": round(tally.seconds, 3)})  # fmt: skip
    else:
        _show(tally, to)
    if tally.failed:
        raise typer.Exit(1)


async def _send(config: object, messages: Iterator[bytes], wanted: int, rate: float | None) -> Tally:
    from hilum.connectors.mllp import Config, MllpDestination
    from hilum.outbound.dialer import Dialer
    from hilum.sdk.contracts import Outbound
    from hilum.sdk.outcome import Transient
    from hilum.security.egress import Policy, named

    assert isinstance(config, Config)  # noqa: S101 - `send` made it
    dialer = Dialer([], Policy(named(config.url)))  # whoever sits at this machine names the place
    destination, tally, started = MllpDestination(config, dialer), Tally(), clock.monotonic()
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task("", total=wanted)
        for number, body in enumerate(messages):
            if rate and (pause := started + number / rate - clock.monotonic()) > 0:
                await asyncio.sleep(pause)
            outcome = await destination.send(Outbound(str(number), body))
            if isinstance(outcome, Transient) and not outcome.answered:
                tally.unsent = wanted - number
                tally.refusals.append(("", outcome.detail))
                break
            code = _code(outcome.detail)
            tally.codes[code] += 1
            if code not in ("AA", "CA") and len(tally.refusals) < KEPT:
                tally.refusals.append((Message.parse(body).control_id, outcome.detail))
            progress.advance(task)
    await destination.close()
    tally.seconds = clock.monotonic() - started
    return tally


def _code(detail: str) -> str:
    """The acknowledgement code that an outcome's detail begins with."""
    code = detail.partition(":")[0]
    return code if len(code) == 2 and code.isupper() else "no answer"


def _repeat(messages: list[bytes], count: int) -> Iterator[bytes]:
    """`count` messages; from the second round on each has a control id of its own, or it would be a duplicate."""
    for number in range(count):
        turn, place = divmod(number, len(messages))
        body = messages[place]
        if turn:
            message = Message.parse(body)
            try:
                message.set("MSH-10", f"{message.control_id[:12]}-{turn}")
            except ValueError as error:
                raise FormatError(f"cannot give it another control id: {error}", segment="MSH", field=10) from None
            body = bytes(message)
        yield body


def _show(tally: Tally, to: str) -> None:
    sent = sum(tally.codes.values())
    if sent:
        shown = output.table("answer", "messages", right=("messages",))
        for code, number in sorted(tally.codes.items()):
            shown.add_row(Text(code, output.STYLES.get(code, "green" if code == "CA" else "red")), str(number))
        output.out.print(shown)
        speed = sent / tally.seconds if tally.seconds else 0
        output.out.print(f"{sent} sent to {to} in {output.duration(tally.seconds)} ({speed:.0f} a second)")
    for control, answer in tally.refusals:
        output.failure(f"{control}: {answer}" if control else answer)
    if tally.unsent:
        output.failure(f"{tally.unsent} not sent")
