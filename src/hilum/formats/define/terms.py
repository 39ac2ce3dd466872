"""The words that Define-XML 2.1 allows in places that are closed lists.

Source: CDISC Define-XML 2.1.5 schema, define-enumerations (Define-XML Controlled Terminology 2022-12-16).
"""

from __future__ import annotations

CLASSES = frozenset({
    "ADAM OTHER", "BASIC DATA STRUCTURE", "DEVICE LEVEL ANALYSIS DATASET", "EVENTS", "FINDINGS", "FINDINGS ABOUT",
    "INTERVENTIONS", "MEDICAL DEVICE BASIC DATA STRUCTURE", "MEDICAL DEVICE OCCURRENCE DATA STRUCTURE",
    "OCCURRENCE DATA STRUCTURE", "RELATIONSHIP", "SPECIAL PURPOSE", "STUDY REFERENCE",
    "SUBJECT LEVEL ANALYSIS DATASET", "TRIAL DESIGN",
})  # fmt: skip
SUBCLASSES = frozenset({
    "ADVERSE EVENT", "MEDICAL DEVICE TIME-TO-EVENT", "NON-COMPARTMENTAL ANALYSIS",
    "POPULATION PHARMACOKINETIC ANALYSIS", "TIME-TO-EVENT",
})  # fmt: skip
ORIGINS = frozenset({"Assigned", "Collected", "Derived", "Not Available", "Other", "Predecessor", "Protocol"})
SOURCES = frozenset({"Investigator", "Sponsor", "Subject", "Vendor"})
STANDARDS = frozenset({
    "ADaMIG", "BIMO", "CDISC/NCI", "SDTMIG", "SDTMIG-AP", "SDTMIG-MD", "SENDIG", "SENDIG-AR", "SENDIG-DART",
})  # fmt: skip
KINDS = frozenset({"CT", "IG"})
PUBLISHINGS = frozenset({"ADaM", "CDASH", "DEFINE-XML", "SDTM", "SEND"})
CONTEXTS = frozenset({"Submission", "Other"})
METHODS = frozenset({"Computation", "Imputation", "Transpose", "Other"})
TYPES = frozenset({
    "text", "integer", "float", "date", "time", "datetime", "partialDate", "partialTime", "partialDatetime",
    "incompleteDate", "incompleteTime", "incompleteDatetime", "durationDatetime", "intervalDatetime",
})  # fmt: skip
LISTED = frozenset({"text", "string", "integer", "float"})  # types of a code list
