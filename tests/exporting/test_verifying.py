"""`hilum verify` is given files by strangers: none ends it with a traceback, takes its memory, or lies to it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.exporting import verifying
from hilum.formats import submission
from hilum.security.chain import EvidenceKey
from hilum.security.signing import Signer, digest

SEED, OTHER = bytes(range(32)), bytes(range(1, 33))
VISITS = {
    "datasetJSONCreationDateTime": "2026-01-01T00:00:00", "datasetJSONVersion": "1.1.0", "itemGroupOID": "IG.EX",
    "records": 1, "name": "EX", "label": "Exposure",
    "columns": [{"itemOID": "IT.A", "name": "A", "label": "A", "dataType": "string", "length": 4}], "rows": [["A-01"]],
}  # fmt: skip


def entry(path: str, content: bytes, **more: Any) -> submission.Entry:
    return submission.Entry(path, len(content), hashlib.sha256(content).hexdigest(), **more)


def sealed(*entries: submission.Entry, seed: bytes = SEED) -> bytes:
    key = EvidenceKey(seed)
    about = {"study": "x", "checks": {}, "release_key": Signer(seed).key_id}
    return submission.manifest(about, list(entries), key.sign, key.public.id)


def packed(
    path: Path, manifest: bytes, files: dict[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> Path:  # fmt: skip
    with zipfile.ZipFile(path, "w", method) as package:
        for name, content in {**(files or {}), "manifest.json": manifest}.items():
            package.writestr(name, content)
    return path


def judged(path: Path, signature: Any = None, key: EvidenceKey | None = None) -> verifying.Verdict:
    return verifying.verify(path, None if key is None else key.public, signature, lambda _: None)


def texts(path: Path) -> list[str]:
    return [f"{one.path}: {one.text}" for one in judged(path).problems]


def signature(path: Path, seed: bytes, **more: Any) -> dict[str, Any]:
    """What the hub with this seed answers for a package that was released."""
    signer, record = Signer(seed), {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **more}
    statement, seal = signer.seal({"operation": "export.release", "record_sha256": digest(record), "signer": "Eva"})
    return {"statement": statement, "seal": seal.hex(), "public_key": signer.public.hex(), "record": record}


def test_a_signature_is_by_the_key_that_the_manifest_names(tmp_path: Path) -> None:
    target = packed(tmp_path / "p.zip", sealed())
    mine = judged(target, signature(target, SEED), EvidenceKey(SEED))
    assert (mine.intact, mine.sealed, mine.released and mine.released["signer"]) == (True, True, "Eva")
    strange = judged(target, signature(target, OTHER), EvidenceKey(SEED))
    assert [one.text for one in strange.problems] == ["the signature is by a key that the manifest does not name"]
    assert strange.released is None
    made_up = packed(tmp_path / "q.zip", sealed(seed=OTHER))  # all of it by somebody else: only the key tells
    assert judged(made_up, signature(made_up, OTHER)).intact
    assert not judged(made_up, signature(made_up, OTHER), EvidenceKey(SEED)).intact


@pytest.mark.parametrize("facts", [None, [], {"plain": None}, {"plain": 5}])
def test_a_record_of_another_shape(tmp_path: Path, facts: Any) -> None:
    target = packed(tmp_path / "p.zip", sealed())
    (problem,) = judged(target, signature(target, SEED, facts=facts)).problems
    assert "this is no signature of an export" in problem.text


@pytest.mark.parametrize(
    "change",
    [
        {"files": ["x"]}, {"files": [{}]}, {"files": [{"path": "a", "bytes": "1", "sha256": ""}]},
        {"files": [{"path": "a", "bytes": True, "sha256": ""}]}, {"files": [{"path": "a", "bytes": -1, "sha256": ""}]},
        {"files": [{"path": 1, "bytes": 1, "sha256": ""}]}, {"files": [{"path": "a", "bytes": 1, "sha256": None}]},
        {"files": {}}, {"files": None}, {"signatures": 5}, {"checks": []}, {"format": "x"}, {"study": "\ud800"},
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = json.dumps({**json.loads(sealed()), **change}).encode()
    with pytest.raises(FormatError, match=r"manifest\.json"):
        judged(packed(tmp_path / "p.zip", manifest))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b"", b"[]", b" " * (9 << 20)])
def test_a_manifest_that_is_none(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(FormatError, match=r"manifest\.json"):
        judged(packed(tmp_path / "p.zip", text))


@pytest.mark.parametrize("name", ["a.txt", "manifest.json"])
@pytest.mark.parametrize("place", ["first", "middle"])
def test_deflate_that_is_broken(tmp_path: Path, name: str, place: str) -> None:
    content = os.urandom(300).hex().encode()
    target = packed(tmp_path / "p.zip", sealed(entry("a.txt", content)), {"a.txt": content})
    with zipfile.ZipFile(target) as package:
        info = package.getinfo(name)
    data = bytearray(target.read_bytes())
    start = info.header_offset + 30 + len(name)
    data[start if place == "first" else start + info.compress_size // 2] ^= 0xFF
    target.write_bytes(data)
    if name == "manifest.json":
        with pytest.raises(FormatError, match=r"manifest\.json cannot be read"):
            judged(target)
    else:
        assert any("a.txt: it cannot be read" in text for text in texts(target))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(FormatError, match="compressed in a way"):
        judged(packed(tmp_path / "p.zip", sealed(), method=method))


def test_no_more_is_read_than_was_announced(tmp_path: Path) -> None:
    target = packed(tmp_path / "p.zip", sealed(entry("a.txt", b"abc")), {"a.txt": b"0" * (5 << 20)})
    assert texts(target) == ["a.txt: its content is another one: more than 3 bytes"]
    assert texts(packed(target, sealed(entry("a.txt", b"abc")), {"a.txt": b"ab"}))[0].startswith(
        "a.txt: its content is another one: 2 bytes, SHA-256 "
    )
    assert texts(packed(target, sealed(entry("a.txt", b"")), {"a.txt": b""})) == []


def test_a_file_that_is_named_or_there_twice(tmp_path: Path) -> None:
    one, target = entry("a.txt", b"abc"), tmp_path / "p.zip"
    assert "a.txt: the manifest names it twice" in texts(packed(target, sealed(one, one), {"a.txt": b"abc"}))
    with zipfile.ZipFile(target, "a") as package, pytest.warns(UserWarning, match="Duplicate"):
        package.writestr("a.txt", b"abc")
    assert "a.txt: it is in there twice" in texts(target)


def test_a_define_xml_of_more_than_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, big = json.dumps(VISITS).encode(), b" " * ((64 << 20) + 1)
    entries = (entry("m/ex.json", rows, dataset="EX", rows=1, variables=1), entry("m/define.xml", big))
    modes: list[int] = []

    def looked(package: zipfile.ZipFile, name: str, folder: Path) -> Any:
        found = real(package, name, folder)
        modes.extend(stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.iterdir()))
        return found

    real = verifying._observed
    monkeypatch.setattr(verifying, "_observed", looked)
    target = packed(tmp_path / "p.zip", sealed(*entries), {"m/ex.json": rows, "m/define.xml": big})
    assert target.stat().st_size < 1 << 20
    assert texts(target) == ["m/define.xml: it cannot be read: it has 67,108,865 bytes, 67,108,864 at most are read"]
    assert modes == [0o700, 0o600]


def test_a_seal_of_another_shape_is_none(tmp_path: Path) -> None:
    found = json.loads(sealed())
    for one in (5, {}, {"key": EvidenceKey(SEED).public.id, "signature": 7},
                {"key": EvidenceKey(SEED).public.id, "signature": base64.b64encode(b"x").decode()}):  # fmt: skip
        target = packed(tmp_path / "p.zip", json.dumps({**found, "signatures": [one]}).encode())
        assert judged(target, key=EvidenceKey(SEED)).sealed is False
