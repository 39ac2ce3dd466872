"""What follows from a data set's name and variables: its class, domain and purpose, as SDTM and ADaM have them.

Source: CDISC SDTM 2.0, 2.2 "The General Observation Classes" (the topic variable tells the class) and 3 to 5; ADaM
2.1, 4 "Data Structures".
"""

from __future__ import annotations

from hilum.formats.define.model import Observation
from hilum.model.dataset import Dataset

_SPECIAL = {
    **dict.fromkeys(("CO", "DM", "SE", "SM", "SV"), "SPECIAL PURPOSE"),
    **dict.fromkeys(("TA", "TD", "TE", "TI", "TM", "TP", "TS", "TT", "TV", "TX"), "TRIAL DESIGN"),
    **dict.fromkeys(("DI", "OI"), "STUDY REFERENCE"),
    **dict.fromkeys(("RELREC", "RELREF", "RELSPEC", "RELSUB", "SUPPQUAL", "POOLDEF"), "RELATIONSHIP"),
    "FA": "FINDINGS ABOUT",
    "ADSL": "SUBJECT LEVEL ANALYSIS DATASET",
}
_TOPICS = (("TESTCD", "FINDINGS"), ("TRT", "INTERVENTIONS"), ("TERM", "EVENTS"))
_SUPPLEMENT = "SUPP"
_ANALYSIS = "AD"
_ABOUT_STUDY = {"TRIAL DESIGN", "STUDY REFERENCE"}


def observation(dataset: Dataset) -> Observation | None:
    """Its class; None where nothing tells it."""
    name, names = dataset.name.upper(), {one.upper() for one in dataset.names}
    if name in _SPECIAL:
        return Observation(_SPECIAL[name])
    if name.startswith(_SUPPLEMENT) and "QNAM" in names:
        return Observation("RELATIONSHIP")
    for topic, found in _TOPICS:
        if name[:2] + topic in names and not name.startswith(_ANALYSIS):
            return Observation("FINDINGS ABOUT" if name[:2] + "OBJ" in names and topic == "TESTCD" else found)
    if not name.startswith(_ANALYSIS):
        return None
    if "PARAMCD" in names:
        return Observation("BASIC DATA STRUCTURE")
    occurs = any(one.endswith(("TERM", "TRT", "DECOD")) for one in names)
    return Observation("OCCURRENCE DATA STRUCTURE" if occurs else "ADAM OTHER")


def purpose(dataset: Dataset) -> str:
    """Analysis for the data sets of ADaM, Tabulation for all others."""
    return "Analysis" if dataset.name.upper().startswith(_ANALYSIS) else "Tabulation"


def domain(dataset: Dataset) -> str:
    """The domain of a tabulation; of supplemental qualifiers the one they supplement. Empty for analyses."""
    name = dataset.name.upper()
    if purpose(dataset) == "Analysis":
        return ""
    if name.startswith(_SUPPLEMENT) and len(name) > len(_SUPPLEMENT):
        return name.removeprefix(_SUPPLEMENT)
    return name


def reference(dataset: Dataset) -> bool:
    """Is it of the study, rather than of its subjects?"""
    found = observation(dataset)
    return found is not None and found.name in _ABOUT_STUDY


def structure(dataset: Dataset) -> str:
    """What a row is, as far as the key says that."""
    keys = sorted((one.key, one.name) for one in dataset.variables if one.key is not None)
    named = [name for _, name in keys if name != "STUDYID"] or [name for _, name in keys]
    return f"One record per {', '.join(named)}" if named else "Not stated"
