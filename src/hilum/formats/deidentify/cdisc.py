"""What CDISC's own names of variables mean: letter by letter, or by their ending after a domain's two letters.

Source: CDISC SDTM Implementation Guide 3.4, ADaM Implementation Guide 1.3.
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify.meanings import Meaning

LONGEST = 8  # characters of such a name

_NAMES = {
    Meaning.SUBJECT: "USUBJID SUBJID RSUBJID SSUBJID APID USUBJIDN SUBJIDN",
    Meaning.SITE: "SITEID SITEIDN SITENUM INVSITE",
    Meaning.STAFF: "INVID INVNUM",
    Meaning.NAME: "INVNAM INVNAME SUBJINIT",
    Meaning.BIRTH: "BRTHDTC BRTHDT BRTHDTM BIRTHDT BIRTHDTC BRTHYR BRTHYY",
    Meaning.AGE: "AGE AAGE AGETXT AGEN AGEYR AGEY AGEMO",
    Meaning.REGION: "COUNTRY STATE COUNTRYL",
    Meaning.DEVICE: "SPDEVID",
    Meaning.RECORD: "RANDNUM",  # a number that one subject alone has
    Meaning.TEXT: "COVAL",
    Meaning.TYPED: "RACEOTH DTHCAUS EVNTDESC CNSDTDSC AHIST QVAL AVALC BASEC TSVAL IDVARVAL AVALCA1 TSVALCD",
    Meaning.PLAIN: """
        STUDYID DOMAIN RDOMAIN SRCDOM SRCVAR SRCSEQ SEX RACE ETHNIC ARM ARMCD ACTARM ACTARMCD ARMNRS ACTARMUD VISIT
        VISITNUM VISITDY VISITN EPOCH ETCD ELEMENT TAETORD TABRANCH TATRANS AGEU IDVAR QNAM QLABEL QORIG QEVAL PARAM
        PARAMCD PARAMN PARCAT AVAL AVISIT AVISITN ANRIND BNRIND BASE CHG PCHG DTYPE BASETYPE ATPT ATPTN ATPTREF
        APHASE APERIOD APERIODC COHORT COHORTC TSPARM TSPARMCD TSVALNF TSVCDREF TSVCDVER IETEST IETESTCD IECAT ADY
        ASTDY AENDY TRTDUR TRTDURD DTHCAUSN DTHADY DCDECOD DCSREAS EOSSTT EOTSTT DCTREAS SHIFT1 AWRANGE AWTARGET
        AWTDIFF AWLO AWHI AWU RELTYPE RELID COREF PARAMTYP DTHDOM AREL DERIVED""",
}
_EXACT = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}

_DOMAIN = "[A-Z][A-Z0-9]"
_CODED = """
    TESTCD TEST CAT SCAT STRESN STRESU ORRESU OTNRLO OTNRHI STNRLO STNRHI STNRC ORNRLO ORNRHI NRIND RESCAT STAT
    LOINC SPEC SPCCND SPCUFL METHOD LOC LAT DIR PORTOT TOX TOXGR SEV SER ACN ACNOTH REL RELNST PATT OUT SCAN SCONG
    SDISAB SDTH SHOSP SLIFE SOD SMIE CONTRT DECOD DECODE BODSYS BDSYCD LLT LLTCD PTCD HLT HLTCD HLGT HLGTCD SOC
    SOCCD PRESP OCCUR DOSE DOSU DOSFRM DOSFRQ DOSTOT DOSRGM ROUTE CLAS CLASCD SEQ GRPID LNKGRP DY STDY ENDY DUR STRF
    ENRF STRTPT ENRTPT TPT TPTNUM ELTM TPTREF EVLINT EVAL EVALID POS LEAD CSTATE ANTREG FAST DRVFL LOBXFL BLFL
    STRESFL NSPCES TOTNUM ANMETH OBJ BDAGNT RSLSCL TSTDTL AGENT STRL ENRL"""
_TYPED = "TERM MODIFY TRT ORRES STRESC REASND REASOC INDC STTPT ENTPT EVINTX ADJ DOSTXT VAL DESC UPDES RSN"


def _ended(endings: str) -> str:
    return f"{_DOMAIN}(?:{'|'.join(endings.split())})"


_ENDINGS = tuple(
    (re2.compile(pattern), meaning)
    for pattern, meaning in (
        (_ended("XFN"), Meaning.URL),
        ("AGEGR[0-9]?", Meaning.AGE),
        ("AGEGR[0-9]?N", Meaning.PLAIN),
        ("SITEGR[0-9]N?", Meaning.SITE),
        ("REGION[0-9]?N?", Meaning.REGION),
        ("[A-Z]{2,6}GR[0-9]?N?|[A-Z]{2,5}CAT[0-9]N?", Meaning.PLAIN),
        ("(?:CQ|SMQ|SDG)[0-9]{2}(?:NAM|CD|SC|SCN)", Meaning.PLAIN),
        ("[A-Z]{1,5}(?:DURU|LTU|BLU|VAL[U])|ATOXDSC[LH]", Meaning.PLAIN),
        ("[A-Z0-9]{1,6}(?:DTF|TMF|FL|FN)", Meaning.PLAIN),
        ("[A-Z0-9]{0,6}(?:DTC|DTM|DT)", Meaning.DATE),
        ("[A-Z][A-Z0-9]{0,5}TM", Meaning.TIME),
        ("COVAL[0-9]{1,2}", Meaning.TEXT),
        (_ended("REFID SPID LNKID RECID ACNID SUBJID"), Meaning.RECORD),
        (_ended("NAM"), Meaning.PLACE),  # the laboratory or vendor
        (_ended(_CODED), Meaning.PLAIN),
        ("TRT(?:[0-9]{2})?[AP]N?|TRTSEQ[AP]N?|TR(?:[0-9]{2})?[AP]G[0-9]N?|TRT|TRTN|TRTCD|TRTLONG", Meaning.PLAIN),
        ("DOSE(?:[0-9]{2})?[AP]?U?", Meaning.PLAIN),
        (
            "(?:M?CRIT|ANL|PARCAT|PHASE|PERIOD|SHIFT|R2[A-Z]|[AB]?TOXGGR|[AB]TOXGR|ANRLO|ANRHI)[0-9A-Z]{0,4}",
            Meaning.PLAIN,
        ),
        (_ended(_TYPED), Meaning.TYPED),
    )
)


def by_standard(name: str) -> Meaning | None:
    """The meaning of a name of CDISC: letters and digits of one case, eight at most. None for any other."""
    upper = name.upper()
    if upper in _EXACT and (name.isupper() or name.islower()):
        return _EXACT[upper]
    if len(name) > LONGEST or not name.isupper():
        return None
    return next((meaning for pattern, meaning in _ENDINGS if pattern.fullmatch(name)), None)
