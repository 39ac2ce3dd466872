"""Regulatory packages: nobody has one before somebody signed for it, and whoever gets it can prove what it is."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hilum.cli import root
from hilum.formats import define
from hilum.security.signing import Signer

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery staple"
REASON = {"x-reason": "submission 7"}


async def packed(exporting: Any, **wanted: Any) -> Any:
    asked = await exporting.http.post("/exports/package", json={"study": "alpha", **wanted})
    assert asked.status_code == 202, asked.text
    return await exporting.ended(asked.json()["id"])


async def draft(exporting: Any, done: Any) -> bytes:
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download", params={"draft": True})
    assert fetched.status_code == 200, fetched.text
    return bytes(fetched.content)


def verified(*arguments: Any) -> tuple[int, Any]:
    done = CliRunner().invoke(root.app, ["verify", *map(str, arguments), "--json"])
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture
async def study(exporting: Any) -> None:
    await exporting.imported(file="vs.csv")
    await exporting.imported(b"USUBJID,AGE\nA-01,30\nA-02,41\n", file="adsl.csv")


@pytest.mark.ledger_part("S1-04", "layout, Define-XML, guide, checks, sealed manifest; a signature releases it")
@pytest.mark.ledger_part("S0-24", "SAS XPT v5 with Define-XML 2.1, own checks attached")
async def test_a_package_is_released_by_a_signature(
    running: Any, exporting: Any, study: None, signed_in: Any, tmp_path: Path
) -> None:  # fmt: skip
    done = await packed(exporting, tabulation_standard="SDTMIG 3.4", purpose="submission")
    assert (done["status"], done["kind"], done["release"]) == ("succeeded", "package", "needed")
    path = f"/exports/jobs/{done['id']}"
    assert (await exporting.http.get(f"{path}/download")).status_code == 409
    assert (await exporting.http.post(f"{path}/links", json={"receiver": "FDA"})).status_code == 409
    assert (await exporting.http.get(f"{path}/signature")).status_code == 404
    content = await draft(exporting, done)
    refused = await exporting.http.post(f"{path}/release", headers=REASON)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EXP011")  # a signature is needed
    body = {"operation": "export.release", "entity": f"export/{done['id']}", "meaning": "approval",
            "password": PASSWORD, "reason": "complete"}  # fmt: skip
    signed = await exporting.http.post("/signatures", json=body)
    assert signed.status_code == 201, signed.text
    header = {**REASON, "x-signature": signed.json()["id"]}
    released = await exporting.http.post(f"{path}/release", headers=header)
    assert released.status_code == 200, released.text
    assert released.json()["release"] == signed.json()["id"]
    fetched = await exporting.http.get(f"{path}/download")
    assert fetched.content == content  # what was looked at is what was signed for
    assert (await exporting.http.post(f"{path}/release", headers=header)).status_code == 409
    package, signature, key = tmp_path / "p.zip", tmp_path / "s.json", tmp_path / "k.pub"
    package.write_bytes(content)
    signature.write_text((await exporting.http.get(f"{path}/signature")).text, encoding="utf-8")
    key.write_text((await running.get("/audit/key"))["pem"], encoding="utf-8")
    code, told = verified(package, "--key", key, "--signature", signature)
    assert (code, told["intact"], told["sealed"], told["datasets"], told["rows"]) == (0, True, True, 2, 5)
    assert told["released"]["meaning"] == "approval"
    shown = [
        " ".join(CliRunner().invoke(root.app, ["verify", *map(str, arguments)]).stdout.split())
        for arguments in ((package, "--signature", signature), (package, "--signature", signature, "--key", key))
    ]
    assert ["holds only if the manifest is the hub's: give --key" in one for one in shown] == [True, False]
    other = json.loads(signature.read_text("utf-8"))
    strange = Signer(bytes(32))  # somebody signs the same with a key of their own
    statement, seal = strange.seal(json.loads(other["statement"]))
    forged = {**other, "statement": statement, "seal": seal.hex(), "public_key": strange.public.hex()}
    (tmp_path / "forged.json").write_text(json.dumps(forged), encoding="utf-8")
    code, told = verified(package, "--signature", tmp_path / "forged.json")
    assert (code, told["released"]) == (1, None)
    assert [one["text"] for one in told["problems"]] == ["the signature is by a key that the manifest does not name"]
    for change in (
        {"statement": other["statement"].replace("approval", "review")}, {"record": {**other["record"], "file": "x"}},
    ):  # fmt: skip
        signature.write_text(json.dumps({**other, **change}), encoding="utf-8")
        assert verified(package, "--signature", signature)[0] == 1


async def test_what_is_in_it(exporting: Any, study: None) -> None:
    done = await packed(exporting, analysis_standard="ADaMIG 1.3", protocol="P-1")
    with zipfile.ZipFile(io.BytesIO(await draft(exporting, done))) as package:
        names = package.namelist()
        assert names == sorted(names)
        sdtm, adam = "m5/datasets/alpha/tabulations/sdtm", "m5/datasets/alpha/analysis/adam/datasets"
        assert names == [
            "checks.json", f"{adam}/adrg.pdf", f"{adam}/adsl.xpt", f"{adam}/define.xml", f"{sdtm}/csdrg.pdf",
            f"{sdtm}/define.xml", f"{sdtm}/vs.xpt", "manifest.json",
        ]  # fmt: skip
        told = define.read(package.read(f"{sdtm}/define.xml"))
        assert [(one.name, one.href) for one in told.tables] == [("vs", "vs.xpt")]
        manifest = json.loads(package.read("manifest.json"))
    by = {one["path"].rpartition("/")[2]: one for one in manifest["files"]}
    assert (by["vs.xpt"]["rows"], by["vs.xpt"]["variables"], by["vs.xpt"]["dataset"]) == (3, 4, "vs")
    assert (manifest["study"], manifest["generator"][:6], manifest["checks"]["error"]) == ("alpha", "Hilum ", 0)
    again = await packed(exporting, analysis_standard="ADaMIG 1.3", protocol="P-1", datasets=None)
    with zipfile.ZipFile(io.BytesIO(await draft(exporting, again))) as package:
        assert package.read(f"{sdtm}/vs.xpt")[80:] is not None


@pytest.mark.parametrize("change", ["content", "more", "missing", "manifest", "rows"])
async def test_a_changed_package_is_found_out(
    running: Any, exporting: Any, study: None, tmp_path: Path, change: str
) -> None:  # fmt: skip
    done = await packed(exporting)
    key = tmp_path / "k.pub"
    key.write_text((await running.get("/audit/key"))["pem"], encoding="utf-8")
    with zipfile.ZipFile(io.BytesIO(await draft(exporting, done))) as package:
        files = {name: package.read(name) for name in package.namelist()}
    (data,) = [name for name in files if name.endswith("vs.xpt")]
    if change == "content":
        files[data] = files[data].replace(b"A-01", b"A-09")
    elif change == "more":
        files["m5/extra.xpt"] = b"x"
    elif change == "missing":
        del files[data]
    else:
        manifest = json.loads(files["manifest.json"])
        if change == "manifest":
            manifest["study"] = "beta"
        else:
            next(one for one in manifest["files"] if one["path"] == data)["rows"] = 4
        files["manifest.json"] = json.dumps(manifest).encode()
    target = tmp_path / "p.zip"
    with zipfile.ZipFile(target, "w") as package:
        for name, content in files.items():
            package.writestr(name, content)
    code, told = verified(target, "--key", key)
    assert (code, told["intact"]) == (1, False)
    assert told["problems"]
    assert told["sealed"] is (change not in ("manifest", "rows"))


async def test_findings_are_told_and_do_not_hide(exporting: Any) -> None:
    content = b"USUBJID,VISITNUM\nA-01,1\nA-01,1\n"
    await exporting.imported(content, file="sv.csv")
    # a key comes with formats that say one; Dataset-JSON does
    dsj = {
        "datasetJSONCreationDateTime": "2026-01-01T00:00:00", "datasetJSONVersion": "1.1.0", "itemGroupOID": "IG.EX",
        "records": 2, "name": "EX", "label": "Exposure",
        "columns": [{"itemOID": "IT.USUBJID", "name": "USUBJID", "label": "Subject", "dataType": "string", "length": 4,
                     "keySequence": 1}],
        "rows": [["A-01"], ["A-01"]],
    }  # fmt: skip
    found = await exporting.imported(json.dumps(dsj).encode(), file="ex.json")
    assert found["status"] == "succeeded", found
    done = await packed(exporting)
    assert done["facts"]["checks"]["error"] == 1
    assert any("key of an earlier one" in text for text in done["warnings"])
    with zipfile.ZipFile(io.BytesIO(await draft(exporting, done))) as package:
        (finding,) = json.loads(package.read("checks.json"))["findings"]
    assert (finding["path"], finding["rule"], finding["rows"]) == ("EX", "key-unique", [2])


async def test_what_cannot_be_packed(exporting: Any, signed_in: Any) -> None:
    assert (await exporting.http.post("/exports/package", json={"study": "nowhere"})).status_code == 404
    await exporting.imported(b"A_VERY_LONG_NAME\n1\n", file="odd.csv")
    done = await packed(exporting)
    assert done["status"] == "failed"
    assert "ODD" in done["error"]["reason"] or "A_VERY_LONG_NAME" in str(done["error"])
    other = await signed_in("auditor")
    assert (await other.post("/exports/package", json={"study": "alpha"})).status_code == 403


def test_what_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK not really")
    done = CliRunner().invoke(root.app, ["verify", str(tmp_path / "x.zip")])
    assert (done.exit_code, "no package" in done.stderr) == (1, True)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as package:
        package.writestr("a.txt", "b")
    done = CliRunner().invoke(root.app, ["verify", str(tmp_path / "y.zip")])
    assert (done.exit_code, "no manifest.json" in done.stderr) == (1, True)
