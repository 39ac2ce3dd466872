"""Invented people with seventeen identifiers each, and a way to find any of them in what was written."""

from __future__ import annotations

import dataclasses
import datetime
import io
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from hilum.formats.deidentify import Kind, Profile
from hilum.model.dataset import Dataset
from hilum.sdk import table_formats
from hilum.sdk.tables import Export, schema

TODAY = datetime.date(2026, 11, 30)
KEY = b"a key of the tests, 32 bytes long"


@dataclasses.dataclass(frozen=True)
class Person:
    given: str
    family: str
    mrn: str
    subject: str
    phone: str
    email: str
    ssn: str
    born: datetime.date
    seen: datetime.date
    code: str  # ZIP or another postal code
    city: str
    street: str
    ip: str
    url: str
    serial: str
    plan: str
    account: str
    vin: str
    sex: str = "F"
    state: str = "NH"
    country: str = "USA"

    @property
    def age(self) -> int:
        return 2026 - self.born.year

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def identifiers(self) -> dict[str, str]:
        every = dataclasses.asdict(self)
        kept = {name: str(value) for name, value in every.items() if name not in ("sex", "state", "country")}
        return kept | ({"age": str(self.age)} if self.age > 90 else {})  # 90 is the category itself


def _person(number: int, given: str, family: str, phone: str, born: str, code: str, city: str, street: str) -> Person:
    mail = "".join(char for char in unicodedata.normalize("NFKD", family) if char.isascii() and char.isalpha()).lower()
    return Person(
        given=given,
        family=family,
        mrn=f"{number:02}47{number * 37 % 90 + 10}{number * 53 % 900 + 100}",
        subject=f"ABC-{700 + number}-{1000 + number * 7}",
        phone=phone,
        email=f"{mail}{number}@klinik-{number}.example.org",
        ssn=f"{510 + number}-{20 + number}-{4300 + number * 11}",
        born=datetime.date.fromisoformat(born),
        seen=datetime.date(2019, 1, 3) + datetime.timedelta(number * 17),
        code=code,
        city=city,
        street=street,
        ip=f"10.{20 + number}.{30 + number}.{140 + number}",
        url=f"https://portal{number}.example.net/u/{number}f{number}x",
        serial=f"SN{number}K{88000 + number * 13}",
        plan=f"{'ABCDEFGHKLMNPRST'[number]}{612000000 + number * 7919}",
        account=f"DE{number + 12}37040044053201{3000 + number:04}",
        vin=f"1HGCM82633A{100000 + number * 77}",
        sex="FM"[number % 2],
    )


PEOPLE = tuple(
    _person(number, *facts)
    for number, facts in enumerate(
        (
            ("Jörg", "Müller-Lüdenscheidt", "+49 30 9018201", "1959-03-12", "03601", "Quellenbrück", "Ahornweg 17"),
            ("Siobhán", "O'Brien", "(603) 555-0117", "1937-11-30", "05901", "Mapleford", "12 Elmhurst Street"),
            ("Łukasz", "Świątek", "603-555-0128", "1936-08-01", "62701", "Birkendorf", "Lindenallee 4a"),
            ("José", "García Márquez", "603.555.0139", "1923-02-28", "10201", "Stonewater", "99 Quarry Road"),
            ("Thị Hạnh", "Nguyễn", "+1 603 555 0140", "1988-12-05", "20301", "Fernhollow", "7 Harbor Lane"),
            ("Bjørn", "Østergård", "0171 2345678", "1931-05-17", "20501", "Weidenau", "Bachgasse 31"),
            ("Niccolò", "d'Ambrosio", "030/6677889", "1975-09-09", "55601", "Cloverdale", "4410 Sunset Boulevard"),
            ("Käthe", "Weiß", "(0221) 445566", "1929-10-20", "69201", "Tannenfurt", "Mozartstraße 8"),
            ("Zoë", "McAllister", "1-603-555-0172", "2001-04-02", "82101", "Ironbridge", "231 Cedar Avenue"),
            ("Anneke", "van der Meer", "+31 20 5550183", "1966-07-23", "87801", "Hasselrode", "Am Damm 12"),
            ("Fiona", "LeBlanc", "603 555 0194", "1942-01-31", "88401", "Pinecrest", "58 Willow Court"),
            ("Gülşah", "Çelik", "+49 (89) 1230045", "1990-06-15", "89301", "Rosenthal", "Kirchplatz 3"),
            ("Zdeněk", "Novák", "0049 40 7788990", "1950-02-14", "83001", "Kaltenbach", "Hafenstraße 101"),
            ("Sigríður", "Jónsdóttir", "603-555-0127", "1934-03-03", "02139", "Greywick", "16 Falcon Terrace"),
            ("Đorđe", "Petrović", "(603) 555-0138", "1979-08-28", "37902", "Lakemont", "770 Juniper Drive Suite 9"),
            ("Hélène", "Schäfer-Dupont", "+33 1 55 50 01 49", "1961-12-24", "03602", "Sonnwald", "Uferweg 22"),
        )
    )
)


@pytest.fixture(scope="session")
def people() -> tuple[Person, ...]:
    return PEOPLE


@pytest.fixture(scope="session")
def profile() -> Callable[..., Profile]:
    """Makes a profile of the tests' own day, key and export."""

    def make(kind: Kind = Kind.SAFE_HARBOR, **about: Any) -> Profile:
        return Profile(**{"kind": kind, "on": TODAY, "key": KEY, "export": "export-1", **about})

    return make


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold().replace("ø", "o").replace("đ", "d").replace("ł", "l"))
    return "".join(char for char in plain if not unicodedata.combining(char) and char != "\u00ad")


def _spellings(word: str) -> set[str]:
    folded = _folded(word)
    spelled = word.casefold()
    for char, instead in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa")):
        spelled = spelled.replace(char, instead)
    return {folded, _folded(spelled)}


def _in_words(value: str, words: set[str]) -> bool:
    """Is one part of a name among the words of a text?"""
    parts = [part for part in re.split(r"[^\w]+", value) if len(part) > 2 and part.lower() not in ("van", "der")]
    return any(spelling in words for part in parts for spelling in _spellings(part))


def writings(day: datetime.date) -> list[str]:
    """A date in the ways that people and systems write it."""
    return [
        f"{day:%Y-%m-%d}",
        f"{day:%Y-%m-%dT}08:30:00Z",
        f"{day:%Y%m%d}",
        f"{day:%d.%m.%Y}",
        f"{day:%m/%d/%Y}",
        f"{day:%d-%b-%Y}",
        f"{day:%d%b%Y}".upper(),
        f"{day:%B} {day.day}, {day.year}",
        f"{day.day} {day:%B} {day.year}",
        f"{day:%Y/%m/%d}",
        f"{day:%d.%m.%y}",
        f"{day:%m/%d/%y}",
    ]


def find_leaks(text: str, people: tuple[Person, ...] = PEOPLE) -> list[str]:
    """The identifiers that a text still holds, `family of Zoë McAllister`, in any spelling that is looked for."""
    folded = _folded(text)
    words = set(re.findall(r"[^\W_]+", folded))
    joined = re.sub(r"(?<=[0-9a-z])[ ()/.:-]{1,3}(?=[0-9a-z])", "", folded)
    found = []
    for one in people:
        for name, value in one.identifiers.items():
            if name in ("given", "family"):
                leaked = _in_words(value, words)
            elif name in ("born", "seen"):
                leaked = any(_folded(way) in folded for way in writings(datetime.date.fromisoformat(value)))
            elif name in ("code", "age"):
                leaked = value in words
            elif name == "street":
                leaked = _folded(value) in folded
            elif name == "city":
                leaked = _in_words(value, words)
            else:
                bare = re.sub(r"[^0-9a-z]", "", _folded(value))
                leaked = _folded(value) in folded or (len(bare) >= 7 and bare in joined)
            if leaked:
                found.append(f"{name} of {one.name}: {value}")
    return found


@pytest.fixture(scope="session")
def leaks() -> Callable[..., list[str]]:
    return find_leaks


@pytest.fixture(scope="session")
def ways() -> Callable[[datetime.date], list[str]]:
    return writings


class _Kept(io.BytesIO):
    data = b""

    def close(self) -> None:
        self.data = self.getvalue()
        super().close()


@pytest.fixture(scope="session")
def exported() -> Callable[[str, Dataset, list[pa.RecordBatch]], bytes]:
    """The bytes of a data set in a format of the hub's."""

    def write(name: str, dataset: Dataset, batches: list[pa.RecordBatch]) -> bytes:
        kept = _Kept()
        created = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
        kind = table_formats.exporter(name)
        one = kind(kind.Config(), dataset, Export(lambda _: kept, sum(batch.num_rows for batch in batches), created))
        for batch in batches:
            one.write(batch)
        one.close()
        return kept.data

    return write


@pytest.fixture(scope="session")
def batch_of() -> Callable[[Dataset, dict[str, list[Any]]], pa.RecordBatch]:
    """Rows of a data set, as a batch holds them."""

    def make(dataset: Dataset, rows: dict[str, list[Any]]) -> pa.RecordBatch:
        held = schema(dataset)
        return pa.record_batch(
            [pa.array(rows[field.name], field.type, from_pandas=False) for field in held], schema=held
        )

    return make
