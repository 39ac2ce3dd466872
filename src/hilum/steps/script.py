"""Run a Python function of the operator's own.

The file stands in the configuration's folder and is trusted: it runs in the hub's process, unlimited, and
the hub does not count on its making the same of the same message twice. See `Script` for the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field

from hilum.errors import ConfigError, StepError
from hilum.formats.hl7v2 import Message
from hilum.formats.json_document import JsonDocument
from hilum.model.message import Disposition
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Turned, Work

KINDS = (Message, JsonDocument, bytes)


class Options(Config):
    """What a script step can be told."""

    file: str = Field(..., pattern=r"\.py$", description="A .py file in the configuration's folder.")
    function: str = Field("transform", pattern=r"^[A-Za-z_]\w*$", description="The function in it.")


class Script(Step[Options]):
    """Calls `function(message)` with the parsed message, which it may change: `hl7v2.Message`, of JSON `JsonDocument`.

    It returns None (go on with the message as it is now), another message (its kind or bytes), a list of them
    (go on with each), or False (nobody wants this message: filtered). What it raises is the step's error.
    """

    Config = Options
    deterministic: ClassVar[bool] = False

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        self._call = _load(config, context)
        self._turned = Turned(Disposition.FILTERED, f"{config.file}: {config.function} returned False")

    def run(self, work: Work) -> Result:
        given: Any = work.json if self.reads == "json" else work.edit()
        answer = self._call(given)
        if answer is None:
            if self.reads == "json":
                work.become(given, "json")
            return work
        if answer is False:
            return self._turned
        if isinstance(answer, KINDS):
            work.replace(bytes(answer))
            return work
        several = answer if isinstance(answer, list) else [answer]
        for one in several:
            if not isinstance(one, KINDS):
                kind = type(one).__name__
                raise StepError(f"{self.config.function} returned {kind}; it returns None, False or messages")
        return [Work(bytes(one), work.format, work.attributes) for one in several]


def _load(config: Options, context: StepContext) -> Callable[[Message], Any]:
    """The function. Raises ConfigError."""
    names: dict[str, Any] = {"__name__": config.file.removesuffix(".py").replace("/", ".")}
    try:
        exec(compile(context.read(config.file), config.file, "exec"), names)  # noqa: S102 - trusted: see above
    except (ConfigError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever the script does while it is loaded, such as SystemExit
        kind = type(error).__name__
        raise ConfigError(f"{config.file} cannot be loaded: {kind}: {error}", where=f"{context.where}.file") from error
    call = names.get(config.function)
    if not callable(call):
        where = f"{context.where}.function"
        raise ConfigError(f"{config.file} has no function {config.function}", where=where)
    return call  # type: ignore[no-any-return]  # a callable of the operator's


step = Script
