"""A regulatory package: where its files stand, the manifest that names them, and whether a package is what it says.

    m5/datasets/<study>/tabulations/sdtm/            lb.xpt, …, define.xml, csdrg.pdf
    m5/datasets/<study>/analysis/adam/datasets/      adsl.xpt, …, define.xml, adrg.pdf
    checks.json                                      what the hub checked, and found
    manifest.json                                    every other file with bytes, SHA-256, rows and variables; sealed

Source: FDA, Study Data Technical Conformance Guide, 7 "Electronic Submission Format"; ICH eCTD, module 5.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import zipfile
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
_LARGEST = 64 << 20  # bytes of a manifest that is read


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
        found = json.loads(package.read(info))
    except KeyError:
        raise FormatError(f"there is no {MANIFEST} in it: this is no package of Hilum") from None
    except (ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise FormatError(f"{MANIFEST} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("files"), list):
        raise FormatError(f"{MANIFEST} is not one of {FORMAT}")
    return found


def sealed(document: Mapping[str, Any], signed: Callable[[str, bytes, bytes], bool]) -> bool:
    """Whether one of its signatures holds; `signed` is given a key's id, the signature and what it is of."""
    told = {name: value for name, value in document.items() if name != "signatures"}
    content = DOMAIN + _text(told)
    for one in document.get("signatures") or ():
        try:
            if signed(str(one["key"]), base64.b64decode(one["signature"], validate=True), content):
                return True
        except (KeyError, TypeError, ValueError):
            continue
    return False


def compare(package: zipfile.ZipFile, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Where the files are not those of the manifest: missing, more than there should be, or of other content."""
    there = [info.filename for info in package.infolist() if not info.is_dir()]
    for name in sorted({one for one in there if there.count(one) > 1}):
        yield Problem(name, "it is in there twice")
    named = {str(one.get("path")): one for one in document["files"] if isinstance(one, dict)}
    for name in sorted(set(there) - {*named, MANIFEST}):
        yield Problem(name, "the manifest does not know it")
    for name, one in sorted(named.items()):
        if name not in there:
            yield Problem(name, "it is missing")
            continue
        try:
            size, digest = _digest(package.open(name))
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            yield Problem(name, f"it cannot be read: {error}")
            continue
        if (size, digest) != (one.get("bytes"), one.get("sha256")):
            yield Problem(name, f"its content is another one: {size:,} bytes, SHA-256 {digest}")


def _digest(stream: IO[bytes]) -> tuple[int, str]:
    found, size = hashlib.sha256(), 0
    with stream:
        while piece := stream.read(_PIECE):
            found.update(piece)
            size += len(piece)
    return size, found.hexdigest()


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _shown(document: Mapping[str, Any]) -> bytes:
    """With a line a word, so that people can read it."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"
