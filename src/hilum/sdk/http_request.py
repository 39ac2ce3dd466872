"""An HTTP request as it is configured: its method, the variables in its path and query, what its body is.

A template is text with variables in braces, typed where that matters: `{mrn}`, `{since:date}`, `{limit:integer=50}`. A
variable's value is encoded for its place: it never adds a parameter, climbs out of its folder or changes the host.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hilum.errors import ConfigError
from hilum.sdk.config import Config

CONTENT_TYPES = {"hl7v2": "application/hl7-v2", "json": "application/json", "bytes": "application/octet-stream"}
"""What a body is called by its format, where nobody says otherwise."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, 9.2.2
_LONGEST = 2_000  # characters of a variable's value
_LONGEST_URL = 8_000
_VARIABLE = re.compile(r"\{([A-Za-z_]\w*)(?::(\w+))?(?:=([^{}]*))?\}", re.ASCII)
_DOTS = re.compile(r"(?:^|[/\\])\.{1,2}(?:$|[/\\])")


def _method(given: Any) -> Any:
    if isinstance(given, str) and given.upper() not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        raise PydanticCustomError("method", "Invalid HTTP method: {given}", {"given": given[:20]})
    return given.upper() if isinstance(given, str) else given


Method = Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], BeforeValidator(_method)]


def repeatable(method: str, key: str = "") -> bool:
    """May the same request be sent again by itself? One that changes things anew each time needs an Idempotency-Key."""
    return method.upper() in _IDEMPOTENT or bool(key)


def _integer(text: str) -> str:
    return str(int(text)) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else _refuse()


def _number(text: str) -> str:
    return text if re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?", text, re.ASCII) else _refuse()


def _refuse() -> str:
    raise ValueError


_READERS: dict[str, Callable[[str], str]] = {
    "string": lambda text: text if text.isprintable() else _refuse(),
    "integer": _integer,
    "number": _number,
    "boolean": lambda text: text.lower() if text.lower() in ("true", "false") else _refuse(),
    "date": lambda text: datetime.date.fromisoformat(text).isoformat(),
    "uuid": lambda text: str(uuid.UUID(text)),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """`default` None: it must be given."""

    name: str
    type: str
    default: str | None

    def read(self, given: Mapping[str, str]) -> str:
        """Its value. Raises ConfigError, which does not quote it."""
        value = given.get(self.name, self.default)
        if value is None:
            raise ConfigError(f"{self.name} is missing", where="parameters")
        if value == "" and self.default == "":
            return ""
        try:
            if len(value) > _LONGEST:
                raise ValueError
            return _READERS[self.type](value)
        except ValueError:
            raise ConfigError(f"{self.name} must be of type {self.type}", where="parameters") from None


def variables(template: str) -> list[Variable]:
    """Those of a template, in order. Raises ValueError where it is none."""
    if re.search(r"[{}]", _VARIABLE.sub("", template)):
        raise ValueError("a variable is written {name}, {name:type} or {name:type=default}")
    found = [Variable(name, kind or "string", default) for name, kind, default in _found(template)]
    for one in found:
        if one.type not in _READERS:
            raise ValueError(f"{one.name}: there is no type {one.type}; there are: {', '.join(_READERS)}")
        if one.default is not None:
            one.read({})
    return found


def _found(template: str) -> Iterator[tuple[str, str | None, str | None]]:
    for match in _VARIABLE.finditer(template):
        yield match[1], match[2], match[3]


def _template(given: Any) -> Any:
    """Numbers and truth values are written as they are in URLs."""
    if isinstance(given, bool):
        return str(given).lower()
    return str(given) if isinstance(given, int | float) else given


def _checked(template: str) -> str:
    try:
        variables(template)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return template


Template = Annotated[str, BeforeValidator(_template), AfterValidator(_checked), Field(max_length=_LONGEST)]


class Parameters(Config):
    """Templates. Without `query` and `path` all are of the query."""

    query: dict[str, Template] = Field({}, max_length=100, description="By name; an empty value leaves it out.")
    path: dict[str, Template] = Field({}, max_length=20, description="For the {name}s in the URL's path.")

    @model_validator(mode="before")
    @classmethod
    def _by_place(cls, given: Any) -> Any:
        flat = isinstance(given, dict) and given and not {"query", "path"} >= given.keys()
        return {"query": given} if flat else given

    def address(self, url: str, given: Mapping[str, str]) -> str:
        """The URL with every variable filled in; what no template asks for goes into the query. Raises ConfigError."""
        if not self.query and not given and "{" not in url:
            return url
        parts = urllib.parse.urlsplit(url)
        left = dict(given)
        path = _VARIABLE.sub(lambda match: self._segment(match, given, left), parts.path)
        pairs = [(name, self._fill(template, given, left)) for name, template in self.query.items()]
        for name in left:
            if name in self.query:
                raise ConfigError(f"{name} is set by the endpoint", where="parameters")
        pairs += [(name, Variable(name, "string", None).read(left)) for name in left]
        query = urllib.parse.urlencode([pair for pair in pairs if pair[1]], quote_via=urllib.parse.quote, safe="")
        made = urllib.parse.urlunsplit(parts._replace(path=path, query="&".join(filter(None, (parts.query, query)))))
        if len(made) > _LONGEST_URL:
            raise ConfigError(f"the URL has more than {_LONGEST_URL} characters", where="parameters")
        return made

    def open(self, url: str) -> bool:
        """Does the URL have variables without a default?"""
        try:
            self.address(url, {})
        except ConfigError:
            return True
        return False

    def asks(self, url: str, name: str) -> bool:
        """Is there a variable of this name in the URL's path or in a template?"""
        templates = (urllib.parse.urlsplit(url).path, *self.path.values(), *self.query.values())
        return any(one.name == name for template in templates for one in variables(template))

    def check(self, url: str) -> None:
        """Raises ValueError where URL and parameters do not belong together."""
        parts = urllib.parse.urlsplit(url)
        if re.search(r"[{}]", parts.netloc):
            raise ValueError("a variable may stand in the URL's path alone, not in its host")
        named = {one.name for one in variables(parts.path)}
        for name in self.path:
            if name not in named:
                raise ValueError(f"parameters.path.{name}: the URL's path has no {{{name}}}")
        try:
            httpx.URL(_VARIABLE.sub("x", url))
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None

    def _segment(self, match: re.Match[str], given: Mapping[str, str], left: dict[str, str]) -> str:
        name = match[1]
        value = self._fill(self.path.get(name, match[0]), given, left)
        if not value or _DOTS.search(value):
            raise ConfigError(f"{name} can be no part of a path", where="parameters")
        return urllib.parse.quote(value, safe="")

    @staticmethod
    def _fill(template: str, given: Mapping[str, str], left: dict[str, str]) -> str:
        """Empty where one of its variables is."""
        values = {one.name: one.read(given) for one in variables(template)}
        for name in values:
            left.pop(name, None)
        return "" if "" in values.values() else _VARIABLE.sub(lambda match: values[match[1]], template)


class Probing(Config):
    """How to ask whether the partner works. By default HEAD, then GET or OPTIONS where the partner knows no HEAD."""

    method: Literal["HEAD", "GET", "OPTIONS"] | None = Field(None, description="The method, one that changes nothing.")
    path: str | None = Field(None, max_length=2_000, description="Path and query to ask; by default the URL's own.")
    expect_status: list[int] = Field([], max_length=50, description="Statuses of success; by default 2xx and 3xx.")
    expect_text: str = Field("", max_length=1_000, description="What the answer must contain; needs GET or OPTIONS.")
    allow_unsafe: bool = Field(
        False, description="Send the endpoint's own method without a body. It may change something at the partner!"
    )

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, given: Any) -> Any:
        return given.upper() if isinstance(given, str) else given

    @field_validator("expect_status", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, int) else given

    @field_validator("path")
    @classmethod
    def _stays_there(cls, path: str | None) -> str | None:
        if path is None:
            return path
        if not path.startswith("/") or path.startswith("//") or not path.isprintable() or re.search(r"[\\#{}\s]", path):
            raise ValueError("must be a path of the URL's host, such as /health")
        return path

    @model_validator(mode="after")
    def _has_a_body(self) -> Probing:
        if self.expect_text and self.method not in ("GET", "OPTIONS"):
            raise ValueError("expect_text needs the method GET or OPTIONS: HEAD is answered without a body")
        return self

    def address(self, url: str, parameters: Parameters) -> str:
        """Raises ConfigError where the URL has open variables, and no path is named."""
        if self.path is not None:
            parts, wanted = urllib.parse.urlsplit(url), urllib.parse.urlsplit(self.path)
            return urllib.parse.urlunsplit(parts._replace(path=wanted.path, query=wanted.query))
        if parameters.open(url):
            raise ConfigError("the URL has variables without a default: name a path to probe", where="probe.path")
        return parameters.address(url, {})
