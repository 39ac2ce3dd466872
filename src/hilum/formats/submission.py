"""A regulatory package: where its files stand, the manifest that names them, and whether a package is what it says.

    m5/datasets/<study>/tabulations/sdtm/            lb.xpt, …, define.xml, csdrg.pdf
    m5/datasets/<study>/analysis/adam/datasets/      adsl.xpt, …, define.xml, adrg.pdf
    checks.json                                      what the hub checked, and found
    manifest.json                                    every other file with bytes, SHA-256, rows and variables; sealed

`release_key` of the manifest is the id of the key that a signature which releases the package is made with.

Source: FDA, Study Data Technical Conformance Guide, 7 "Electronic Submission Format"; ICH eCTD, module 5.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from hilum.errors import FormatError

MANIFEST, CHECKS = "manifest.json", "checks.json"
FORMAT = "hilum-package-1"
FOLDERS = {"tabulations": "tabulations/sdtm", "analysis": "analysis/adam/datasets"}
GUIDES = {"tabulations": "csdrg.pdf", "analysis": "adrg.pdf"}
DOMAIN = b"hilum package 1\n"
"""What the seal of a manifest begins with, so that it can be taken for nothing else."""

_PIECE = 1 << 20
_LARGEST = 8 << 20  # bytes of a manifest that is read: 30,000 files; as objects they are many times as much
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A file of a package. `dataset`, `rows` and `variables`: of one that holds rows."""

    path: str
    bytes: int
    sha256: str
    dataset: str | None = None
    rows: int | None = None
    variables: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a package; `path` is empty where it is none of its files."""

    path: str
    text: str


def folder(study: str, where: str) -> str:
    """Of a study's data files: `where` is tabulations or analysis."""
    return f"m5/datasets/{study}/{FOLDERS[where]}"


def manifest(about: Mapping[str, Any], entries: list[Entry], sign: Callable[[bytes], bytes], key: str) -> bytes:
    """The manifest, sealed with Ed25519 by the key whose id is `key`. The same content has the same text."""
    files = [{name: value for name, value in dataclasses.asdict(one).items() if value is not None} for one in entries]
    document = {**about, "format": FORMAT, "files": sorted(files, key=lambda one: str(one["path"]))}
    seal = base64.b64encode(sign(DOMAIN + _text(document))).decode()
    return _shown({**document, "signatures": [{"algorithm": "Ed25519", "key": key, "signature": seal}]})


def read(package: zipfile.ZipFile) -> dict[str, Any]:
    """A package's manifest. Raises FormatError where there is none, or it is none of ours."""
    try:
        info = package.getinfo(MANIFEST)
        if info.file_size > _LARGEST:
            raise FormatError(f"{MANIFEST} has {info.file_size:,} bytes, more than any of ours")
        with _open(package, MANIFEST) as stream:
            found = json.load(stream)
        _text(found)  # an escape may stand for what no text has
    except KeyError:
        raise FormatError(f"there is no {MANIFEST} in it: this is no package of Hilum") from None
    except _UNREADABLE as error:  # RecursionError is a RuntimeError
        raise FormatError(f"{MANIFEST} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FormatError(f"{MANIFEST} is not one of {FORMAT}")
    for name, kind in (("files", list), ("signatures", list), ("checks", dict)):
        if not isinstance(found.get(name), kind):
            raise FormatError(f"{MANIFEST} is not one of {FORMAT}: its {name} are not what they should be")
    for number, one in enumerate(found["files"], 1):
        if not _is_entry(one):
            raise FormatError(f"{MANIFEST} is not one of {FORMAT}: file {number} needs path, bytes and sha256")
    return found


def _is_entry(one: Any) -> bool:
    if not isinstance(one, dict):
        return False
    size = one.get("bytes")
    return isinstance(one.get("path"), str) and isinstance(one.get("sha256"), str) and type(size) is int and size >= 0


def sealed(document: Mapping[str, Any], signed: Callable[[str, bytes, bytes], bool]) -> bool:
    """Whether one of its signatures holds; `signed` is given a key's id, the signature and what it is of."""
    told = {name: value for name, value in document.items() if name != "signatures"}
    content = DOMAIN + _text(told)
    for one in document["signatures"]:
        try:
            if signed(str(one["key"]), base64.b64decode(one["signature"], validate=True), content):
                return True
        except (KeyError, TypeError, ValueError):
            continue
    return False


def compare(package: zipfile.ZipFile, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Where the files are not those of the manifest: missing, more than there should be, or of other content."""
    there = Counter(info.filename for info in package.infolist() if not info.is_dir())
    for name in sorted(name for name, count in there.items() if count > 1):
        yield Problem(name, "it is in there twice")
    listed = Counter(one["path"] for one in document["files"])
    for name in sorted(name for name, count in listed.items() if count > 1):
        yield Problem(name, "the manifest names it twice")
    named = {one["path"]: one for one in document["files"]}
    for name in sorted(set(there) - {*named, MANIFEST}):
        yield Problem(name, "the manifest does not know it")
    for name, one in sorted(named.items()):
        if name not in there:
            yield Problem(name, "it is missing")
            continue
        try:
            size, digest = _digest(_open(package, name), one["bytes"])
        except _UNREADABLE as error:
            yield Problem(name, f"it cannot be read: {error}")
            continue
        if size > one["bytes"]:
            yield Problem(name, f"its content is another one: more than {one['bytes']:,} bytes")
        elif (size, digest) != (one["bytes"], one["sha256"]):
            yield Problem(name, f"its content is another one: {size:,} bytes, SHA-256 {digest}")


def _open(package: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Raises KeyError, and what `_UNREADABLE` names."""
    if package.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # the others are unpacked a whole piece at a time, whatever comes of it
        raise zipfile.BadZipFile("it is compressed in a way that no package is")
    return package.open(name)


def _digest(stream: IO[bytes], announced: int) -> tuple[int, str]:
    """Size and SHA-256 of what it has; no more than a byte beyond what was announced is read."""
    found, size = hashlib.sha256(), 0
    with stream:
        while size <= announced and (piece := stream.read(min(_PIECE, announced + 1 - size))):
            found.update(piece)
            size += len(piece)
    return size, found.hexdigest()


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _shown(document: Mapping[str, Any]) -> bytes:
    """With a line a word, so that people can read it."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"
