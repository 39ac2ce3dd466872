"""What passes over a connection and why that is lawful: the words for both. A site's own words begin with x-.

Categories follow what a record of processing activities has to name (GDPR, article 30(1)(c)); the letters of bases are
those of GDPR, articles 6(1) and 9(2), and the rules those of HIPAA's privacy rule (45 CFR 164).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

DATA_CATEGORIES = {
    "identity": "names, birth dates, record and insurance numbers",
    "contact": "addresses, telephone numbers, next of kin",
    "encounters": "admissions, transfers, appointments",
    "clinical": "diagnoses, procedures, observations, notes",
    "laboratory": "orders, specimens and results",
    "imaging": "orders, pictures and reports",
    "medication": "prescriptions, dispensing, administration",
    "genetic": "genetic and genomic data",
    "billing": "charges, payments, claims, coverage",
    "trial": "data of a clinical trial's subjects",
    "staff": "people who work there: practitioners, users",
    "pseudonymous": "data of people whose names are kept elsewhere (GDPR, article 4(5))",
    "technical": "no personal data: catalogues, stock, devices, how things stand",
}
LEGAL_BASES = {
    "gdpr-6-1-a": "consent",
    "gdpr-6-1-b": "a contract with the person",
    "gdpr-6-1-c": "a legal obligation",
    "gdpr-6-1-d": "vital interests",
    "gdpr-6-1-e": "a task in the public interest",
    "gdpr-6-1-f": "legitimate interests",
    "gdpr-9-2-a": "explicit consent",
    "gdpr-9-2-b": "employment and social security law",
    "gdpr-9-2-c": "vital interests of somebody who cannot consent",
    "gdpr-9-2-d": "members of a foundation or an association",
    "gdpr-9-2-e": "made public by the person",
    "gdpr-9-2-f": "legal claims",
    "gdpr-9-2-g": "substantial public interest",
    "gdpr-9-2-h": "care, diagnosis, and the management of health systems",
    "gdpr-9-2-i": "public health",
    "gdpr-9-2-j": "archiving, research, statistics",
    "hipaa-treatment": "treatment (164.506)",
    "hipaa-payment": "payment (164.506)",
    "hipaa-operations": "health care operations (164.506)",
    "hipaa-authorization": "the person's authorization (164.508)",
    "hipaa-law": "required by law (164.512(a))",
    "hipaa-public-health": "public health (164.512(b))",
    "hipaa-research": "research with a waiver (164.512(i))",
    "hipaa-limited-data-set": "a limited data set with its agreement (164.514(e))",
}
_OWN = re.compile(r"x-[a-z0-9][a-z0-9.-]{0,60}")


def _word(known: Mapping[str, str], what: str) -> tuple[AfterValidator, WithJsonSchema]:
    def check(word: str) -> str:
        if word not in known and not _OWN.fullmatch(word):
            raise ValueError(f"{word!r} is no {what} that the hub knows; a site's own begin with x-")
        return word

    said = {"type": "string", "anyOf": [{"enum": list(known)}, {"pattern": f"^{_OWN.pattern}$"}]}
    return AfterValidator(check), WithJsonSchema(said)


DataCategory = Annotated[str, *_word(DATA_CATEGORIES, "data category")]
LegalBasis = Annotated[str, *_word(LEGAL_BASES, "legal basis")]
