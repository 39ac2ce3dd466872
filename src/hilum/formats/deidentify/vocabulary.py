r"""What a variable, field or key means by its name, in the words of CDISC, English and German.

A name that is none of CDISC's is taken apart into words (`patientLastName`, `geb_datum`, `HomePhone2`), and the first
line below that has them says what it means. A name that no line knows means nothing here: its label, type and values
decide.

A line has words that mean it wherever they stand, words that mean it where they are the `whole` name, and `ends` of
compounds, as German has them. Between two of them stands a blank; `_` is a blank that may be missing, `+` one that may
not. The rest is RE2.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify.cdisc import by_standard
from hilum.formats.deidentify.meanings import Meaning

_NUMBER = "(?:id|ids|identifier|no|nr|num|number|numbers|nummer|kennung|key)"
_PEOPLE = """
    investigator physician doctor provider nurse operator user staff clinician surgeon arzt aerztin pruefarzt
    benutzer pfleger employee mitarbeiter technician radiologist pathologist pharmacist practitioner performer
    behandler"""


def _words(text: str) -> list[str]:
    """The alternatives of a line, as RE2 has them."""
    return [one.replace("_", " ?").replace("+", " ") for one in text.split()]


def _line(meaning: Meaning, anywhere: str = "", whole: str = "", ends: str = "") -> tuple[Meaning, str]:
    several = [
        rf"(?:.*\b)?(?:{'|'.join(_words(anywhere))})(?:\b.*)?" if anywhere else "",
        "|".join(_words(whole)),
        rf".*(?:{'|'.join(_words(ends))})" if ends else "",
    ]
    return meaning, "|".join(filter(None, several))


def _numbered(text: str) -> str:
    """Each of them with a word for number behind it."""
    return " ".join(f"{one}_{_NUMBER}" for one in text.split())


_LINES = (
    # What sounds like an identifier and is none.
    _line(Meaning.PLAIN, "", "(?:number|no|count|zahl)+(?:of|der|von|an)+.* n+of+.* anzahl.*", "+count"),
    _line(
        Meaning.TYPED,
        "",
        "",
        """
        test_name drug_name medication_name medicine_name product_name substance_name study_name trial_name
        form_name visit_name parameter_name param_name variable_name analyte_name allergen_name procedure_name
        diagnosis_name wirkstoff_name studien_?name class_name""",
    ),
    _line(
        Meaning.PLAIN,
        "",
        _numbered("""
        study trial protocol visite? sequence seq dose cycle page line item version row form studien? arm panel test
        param parameter diagnosis procedure treatment group drug result loinc icd snomed atc ops""")
        + " (?:dose|panel|test|diagnosis|procedure|treatment|group|drug|result|visit|arm|study|loinc|icd|atc|ops)+code",
    ),
    _line(
        Meaning.PLAIN,
        "",
        "",
        "time_point time_zone zeitzone date+format imputation+flag age+units? survival+time time+to+.*",
    ),
    _line(
        Meaning.PLAIN,
        "",
        "",
        "study+day relative+day day+of+study studientag visit+day planned+.*day cycle+day day+relative+.*",
    ),
    _line(
        Meaning.TYPED,
        "",
        "",
        """
        injection+(?:site|location) application+(?:site|location) body+(?:site|location) lesion+(?:site|location)
        tumou?r+(?:site|location) anatomical+(?:site|location) puncture+site infusion+site specimen+site
        binding+site""",
    ),
    _line(
        Meaning.PLAIN,
        "",
        """birth_weight birth_order multiple+birth.* birth_sex geburtsgewicht device+(?:type|category|class|status)
        (?:last|first)+(?:dose|visit|observation|result|value|treatment).*""",
    ),
    # The 18 classes.
    _line(Meaning.EMAIL, "e_mails? mail mail_adresse email_address(?:es)?", "", "mailadresse"),
    _line(Meaning.FAX, "fax telefax fax_nummer fax_number fax_nr"),
    _line(
        Meaning.PHONE,
        """phones? telephone tel telefon mobile mobil cell_phone cell+number handy pager telecom festnetz call_back sms
        whatsapp rueckruf""",
        "cell",
        "telefon_(?:nummer|nr) handy_(?:nummer|nr) mobil_(?:nummer|nr) ruf_(?:nummer|nr) phone(?:number)?",
    ),
    _line(
        Meaning.IP,
        "ip ip_addr(?:ess)? ip_adresse remote_addr(?:ess)? client_ip ipv host_name",
        "ipaddress host peer remote",
    ),
    _line(
        Meaning.SSN,
        """ssn social_security tax_id tin national_id nhs_number passport passnummer ahv svnr identity+card nino
        personal_number personennummer""",
        "",
        """sozialversicherungs(?:_nummer|_nr)? rentenversicherungs(?:_nummer|_nr)? steuer_(?:id|nummer|nr)
        ausweis_(?:nummer|nr) reisepass(?:_nummer|_nr)?""",
    ),
    _line(
        Meaning.PLAN,
        _numbered("health_plan insurance insured policy member subscriber beneficiary medicare medicaid payer"),
        "kvnr egk hicn mbi",
        """versicherten_(?:nummer|nr|id) versicherungs_(?:nummer|nr|id) policen_(?:nummer|nr) kassen_(?:nummer|nr)""",
    ),
    _line(Meaning.LICENCE, "licen[cs]e certificate zertifikat dea npi lanr bsnr fuehrerschein approbation"),
    _line(
        Meaning.VEHICLE, "vehicle vin plate kennzeichen kfz fahrzeug fahrgestell", "", "kennzeichen fahrgestellnummer"
    ),
    _line(
        Meaning.DEVICE,
        "devices? serial udi imei implant pacemaker geraet mac_address mac lot_number",
        "",
        "serien_(?:nummer|nr) geraete_(?:nummer|nr) serial_(?:number|no)",
    ),
    _line(
        Meaning.ACCOUNT,
        "account acct konto bank iban bic credit_card kreditkarte invoice billing card",
        "",
        "konto_(?:nummer|nr) rechnungs_(?:nummer|nr) karten_(?:nummer|nr)",
    ),
    _line(
        Meaning.URL, "urls? uri web_site homepage webseite link href file_name file_path path dateiname dateipfad pfad"
    ),
    _line(
        Meaning.BIOMETRIC,
        "finger_prints? voice_prints? retina biometrics? face_id fingerabdruck dna genome iris_scan",
    ),
    _line(
        Meaning.PHOTO,
        "photos? photograph picture images? portrait foto bild lichtbild avatar selfie video audio",
    ),
    _line(Meaning.PLACE, "birth_place place+of+birth geburts_ort"),
    _line(
        Meaning.BIRTH,
        """
        birth_dates? date+of+birth dob birth_day birth_year year+of+birth yob geboren geb gebdat born birth
        birth_time geb_datum geburts_datum geburts_jahr geburts_tag""",
        "",
        "geburtsdatum geburtstag geburtsjahr birthdate",
    ),
    _line(Meaning.AGE, "age alter lebensalter age_group ages altersgruppe age_years"),
    _line(Meaning.POSTCODE, "plz postleitzahl"),
    _line(Meaning.ZIP, "zip zip_codes? postal_code post_code"),
    _line(
        Meaning.STREET,
        """street strasse str address(?:es)? addr adresse anschrift hausnummer house_(?:no|nr|number) postfach po+box
        apartment apt address_line""",
        "lines?",
        "adresse strasse address",
    ),
    _line(
        Meaning.LOCATION,
        """latitude longitude lon lng gps geo_code geo_location geo_hash geo coordinates? breitengrad laengengrad
        koordinaten fips geoid""",
        "lat position",
    ),
    _line(
        Meaning.PLACE,
        """
        city town village municipality county parish precinct district suburb neighbou?rhood census_tract stadt ort
        wohnort gemeinde landkreis kreis bezirk ortsteil place hospital clinic facility ward room bed location
        institution krankenhaus klinik station zimmer arbeitgeber employer school schule organi[sz]ation company
        firma practice praxis laboratory department abteilung building site_name cent(?:re|er)_name vendor lab_name""",
        "",
        "wohnort ortsname klinikname",
    ),
    _line(Meaning.SUBJECT, "", "", r"\b(?:patient|patienten|pat|subject)_(?:id|ids|identifier|code|key|kennung)"),
    _line(
        Meaning.MRN,
        "mrn medical_record(?:_number)?",
        "pid",
        _numbered(r"""
        \brecord \bchart \bhospital \bcase \bencounter \bepisode \badmission \bfall \bakten? \bkrankenblatt
        \bpatient \bpatienten \bpat \bkis""")
        + " fallnummer patientennummer krankenblattnummer aktenzeichen",
    ),
    _line(
        Meaning.SUBJECT,
        "",
        "subject participant proband patient screening_(?:no|nr|number|id) rand(?:omi[sz]ation)?_(?:no|nr|number|id)",
        _numbered(r"\bsubject \bparticipant \bproband \bprobanden \bperson \benrolment \benrollment"),
    ),
    _line(
        Meaning.SITE,
        "",
        "",
        rf"\b(?:site|centre|center|zentrum|pruefzentrum|studienzentrum)(?:_{_NUMBER}|_code)?",
    ),
    _line(Meaning.STAFF, "", "", _numbered(" ".join(rf"\b{one}" for one in _PEOPLE.split()))),
    _line(
        Meaning.NAME,
        f"""
        {_PEOPLE} reviewer author signed+by entered+by created+by modified+by login signature unterschrift initials
        initialen surname forename alias contact guardian guarantor mother father spouse husband wife sibling
        relative next+of+kin kin caregiver insured subscriber angehoerige[rn]? ansprechpartner mutter vater hausarzt
        notfallkontakt maedchenname namen?""",
        "family given first last middle prefix suffix",
        "name names namens?",
    ),
    _line(
        Meaning.TIME,
        "",
        """months? monat day+of+month day tag week_day wochentag week woche kw quarter quartal birth_month time uhrzeit
        zeit clock hour stunde minute
        (?:start|end|collection|admission|discharge|visit|sample|draw|event|death|dose|dosing|arrival)+time""",
        "uhrzeit",
    ),
    _line(
        Meaning.DATE,
        """
        dates? datum time_stamp date_time zeitpunkt zeitstempel dtc dt dttm dtm dat admitted discharged deceased
        created updated modified recorded issued admission discharge year jahr since until aufnahme entlassung
        authored effective onset occurrence ts""",
        "",
        "datum timestamp datetime startdate enddate visitdate deathdate",
    ),
    _line(
        Meaning.TEXT,
        """
        comments? notes? remarks? free_text texts? narrative description details? specify specification other
        message memo summary history anamnese bemerkung(?:en)? kommentare? notiz(?:en)? freitext befund(?:text)?
        beschreibung bericht arztbrief epikrise letter report content body payload reason conclusion interpretation
        instructions? title betreff annotation div""",
    ),
    _line(
        Meaning.REGION, "state country land bundesland province region nation nationality staat continent citizenship"
    ),
    _line(
        Meaning.TYPED,
        """
        sex gender geschlecht race ethnic ethnicity arm treatment group gruppe cohort kohorte visit epoch units?
        einheit results? values? wert ergebnis tests? analyte parameter param loinc icd snomed atc codes? category
        kategorie type typ status flag severity schweregrad grade grad outcome dose dosis dosage route frequency
        form specimen material method methode class klasse stage stadium score skala scale smoker raucher diagnosis
        diagnose drug medication medikament wirkstoff allergy allergie blood_type blutgruppe currency language
        sprache marital familienstand religion indicator laterality seite count duration dauer weight height bmi
        gewicht groesse temperature pulse systolic diastolic domain labs? priority version""",
    ),
    _line(
        Meaning.RECORD,
        "ids? identifiers? uuid guid oid barcode accession token",
        "nr no key hash",
        r"\b(?:nr|nummer|numbers?|kennung|key|serial) \b\w+_(?:nr|no|num) nummer kennung schluessel",
    ),
)
_READ = tuple((meaning, re2.compile(pattern)) for meaning, pattern in _LINES)

_PLAIN_VALUES = """
    y n yes no ja nein true false wahr falsch t f m w d u x na n/a nd done not+done unknown unk unbekannt none other
    male female männlich weiblich divers undifferentiated positive negative pos neg positiv negativ normal abnormal
    high low hoch niedrig mild moderate severe leicht mittel schwer present absent detected not+detected reactive
    nonreactive non-reactive trace indeterminate borderline pending completed active inactive placebo screening
    baseline left right bilateral links rechts oral iv im sc po once daily weekly white black asian
    hispanic+or+latino not+hispanic+or+latino black+or+african+american american+indian+or+alaska+native
    native+hawaiian+or+other+pacific+islander multiple married single divorced widowed verheiratet ledig geschieden
    verwitwet final preliminary corrected recovered resolved ongoing fatal a b ab o a+ a- b+ b- ab+ ab- o+ o- 0+ 0-
    i ii iii iv v open closed new old not+recovered/not+resolved recovered/resolved not+applicable not+reported
    screen+failure adverse+event lost+to+follow-up"""
VALUES = frozenset(one if len(one) < 4 else one.replace("+", " ") for one in _PLAIN_VALUES.split())
"""Values that tell nobody's identity, whatever column they stand in; in lower case."""

_FIGURE = r"[0-9]{1,6}(?:[.,][0-9]{1,20})?"
_RANGE = rf"(?:[0-9]{{1,3}}|[0-9]{{5,6}})(?:[.,][0-9]{{1,20}})? ?(?:-|to|bis) ?{_FIGURE}"  # 2014-05 is a month
MEASURED = rf"[<>=~≤≥±+-]{{0,2}} ?(?:{_FIGURE}(?:[eE][+-]?[0-9]{{1,3}})?|{_RANGE}) ?%?"
"""A number as results have it, or a range of two, for RE2."""
_MEASURED = re2.compile(MEASURED)

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_HUMP = re2.compile(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])|([A-Za-z])([0-9])|([0-9])([A-Za-z])")
_REST = re2.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=8_192)
def by_name(name: str) -> Meaning | None:
    """What a variable of this name means; None where nobody knows."""
    found = by_standard(name)
    return found if found is not None else by_words(name)


@lru_cache(maxsize=8_192)
def by_words(text: str) -> Meaning | None:
    """What the words of a name or a label mean."""
    found = words(text)
    return next((meaning for meaning, pattern in _READ if pattern.fullmatch(found)), None) if found else None


def words(text: str) -> str:
    """The words of a name in lower case, ä as ae, one blank between them."""
    plain = unicodedata.normalize("NFC", text).translate(_UMLAUTS)
    plain = "".join(char for char in unicodedata.normalize("NFKD", plain) if char.isascii())
    for _ in range(2):  # a hump may end where the next one begins
        plain = _HUMP.sub(r"\1\3\5\7 \2\4\6\8", plain)
    return str(_REST.sub(" ", plain.lower())).strip()


def measured(text: str) -> bool:
    """Is it a number as results have it?"""
    return _MEASURED.fullmatch(text.strip()) is not None
