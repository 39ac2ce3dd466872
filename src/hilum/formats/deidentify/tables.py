"""A plan to de-identify a table: what becomes of each variable and why, the data set that comes out, and doing it.

A plan is made of what is said of the variables and of what was observed of their values; it is shown to people before
anything leaves. What nobody recognises goes, under safe-harbor and date-shift: a text that no name, label or code list
explains may name somebody, and whoever knows better says `keep`.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats.deidentify import codes as code_spaces
from hilum.formats.deidentify import columns
from hilum.formats.deidentify.classify import by_description, subject_of
from hilum.formats.deidentify.codes import Codes
from hilum.formats.deidentify.judge import judged
from hilum.formats.deidentify.meanings import CODED, DATED, HARMLESS, Meaning, action, reason
from hilum.formats.deidentify.observe import Number, Observed
from hilum.formats.deidentify.profile import Action, Kind, Profile
from hilum.formats.deidentify.rows import Rows
from hilum.formats.xpt.sas_format import calendar, parse
from hilum.model.dataset import Dataset, DataType, Variable

OWN = "deidentify."  # begins the keys of `extra`
LABELS = {
    Kind.NONE: "not de-identified",
    Kind.SAFE_HARBOR: "HIPAA Safe Harbor, 45 CFR 164.514(b)(2)",
    Kind.PSEUDONYMISE: "pseudonymised, still personal data (GDPR Art. 4(5)): NOT anonymous, NOT Safe Harbor",
    Kind.DATE_SHIFT: "limited data set (45 CFR 164.514(e)), or by an expert's determination, NOT Safe Harbor: "
    "dates are shifted",
}
_COUNTRIES = ("COUNTRY", "Country", "country", "LAND", "Land", "land")
_AGE_UNITS = ("AGEU", "ageu", "age_unit", "age_units")
_TEXTS = {Action.YEAR: 4, Action.ZIP3: 3}  # bytes
_LABEL = 40  # characters that every format has room for
_ENDS = {Action.YEAR: " (year)", Action.AGE: " (90: 90+)", Action.ZIP3: " (3 digits)", Action.SHIFT: " (shifted)"}
_SPACES = {Meaning.SUBJECT: code_spaces.SUBJECT, Meaning.MRN: code_spaces.SUBJECT, Meaning.SITE: code_spaces.SITE,
           Meaning.STAFF: code_spaces.STAFF}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a variable. `seen`: what told its meaning; `chosen`: was it asked for?"""

    variable: str
    action: Action
    meaning: Meaning
    reason: str
    seen: str
    chosen: bool = False
    counted: DataType | None = None  # how its numbers count, where they are dates

    def __str__(self) -> str:
        because = "as chosen" if self.chosen else f"by its {self.seen}" if self.seen else ""
        return f"{self.variable}: {self.reason}{because and ', ' + because}"


def observe(dataset: Dataset, profile: Profile) -> Observed:
    """What takes in the table's batches, all of them, before the plan is made."""
    return Observed(dataset, subject_of(dataset, profile.subject))


def plan(dataset: Dataset, profile: Profile, observed: Observed, codes: Codes | None = None) -> Plan:
    """What to do with each variable. Tables of one export that share `codes` can be joined by their subjects.

    Raises DataError for an override of a variable that is not there, or that its values cannot have, and where nothing
    is left of the table.
    """
    for name in profile.columns:
        if name not in dataset.names:
            raise DataError(f"data set {dataset.name} has no such variable", variable=name)
    subject = subject_of(dataset, profile.subject)
    rules = tuple(_rule(one, profile, observed, subject) for one in dataset.variables)
    if all(one.action is Action.DROP for one in rules):
        raise DataError(f"nothing is left of data set {dataset.name}")
    return Plan(dataset, profile, rules, subject, codes or Codes(profile), observed.rows)


def _rule(variable: Variable, profile: Profile, observed: Observed, subject: str) -> Rule:
    meaning, seen = by_description(variable)
    if variable.name == subject:
        meaning, seen = Meaning.SUBJECT, "name"
    seen_values = observed.columns.get(variable.name)
    if variable.name != subject:
        meaning, seen = judged(meaning, seen, variable, seen_values)
    assert meaning is not None  # noqa: S101 - `judged` tells one
    counted = _counted(variable, seen_values)
    wanted = action(profile, meaning)
    chosen = profile.columns.get(variable.name)
    if chosen is not None:
        _check(variable, meaning, chosen, subject)
        return Rule(variable.name, chosen, meaning, reason(profile.kind, meaning, chosen), seen, True, counted)
    if wanted is Action.SHIFT and not subject:
        why = f"{meaning.value} -> year: the table has no subject to shift by"
        return Rule(variable.name, Action.YEAR, meaning, why, seen, False, counted)
    if wanted is Action.SCRUB and variable.numeric:
        wanted = Action.DROP
    return Rule(variable.name, wanted, meaning, reason(profile.kind, meaning, wanted), seen, False, counted)


def _counted(variable: Variable, seen: object) -> DataType | None:
    """How a number counts where it is a date: as its type or format says, else days or seconds by its size."""
    if variable.counted:
        return variable.type
    if not variable.numeric or variable.type is DataType.BOOLEAN:
        return None
    if variable.format and (kind := calendar(parse(variable.format).name)) is not None:
        return kind
    if not isinstance(seen, Number) or not seen.filled or seen.all_days or seen.years:
        return None
    return DataType.DATETIME if seen.most > 2_936_550 else DataType.DATE


def _check(variable: Variable, meaning: Meaning, chosen: Action, subject: str) -> None:
    """Raises DataError for an action that the values cannot have."""
    if chosen in (Action.YEAR, Action.SHIFT) and variable.type is DataType.BOOLEAN:
        raise DataError(f"{chosen} is for dates", variable=variable.name)
    if chosen is Action.SHIFT and not subject:
        raise DataError("shift needs the variable of the subject", variable=variable.name)
    if chosen is Action.SHIFT and meaning not in DATED:
        raise DataError("shift is for dates, and this is known as none", variable=variable.name)
    if chosen is Action.SCRUB and variable.numeric:
        raise DataError("scrub is for text", variable=variable.name)
    if chosen is Action.AGE and (variable.counted or variable.type is DataType.BOOLEAN):
        raise DataError("age is for numbers and text", variable=variable.name)


class Plan:
    """What is done, and what comes out of it: `rules`, the `dataset` afterwards, a `label` for whoever receives it."""

    def __init__(
        self, given: Dataset, profile: Profile, rules: tuple[Rule, ...], subject: str, codes: Codes, seen: int
    ) -> None:
        self.rules = rules
        self.subject = subject
        self._profile, self._codes = profile, codes
        self._given = {one.name: one for one in given.variables}
        self._by_name = {one.variable: one for one in rules}
        self.label = self._labelled()
        self.dataset = self._after(given)
        self.schema = pa.schema([pa.field(one.name, self._held(one)) for one in self.dataset.variables])
        self._rows = Rows(profile, {one.variable: one.meaning for one in rules})
        self._days: dict[str, int] = {}
        self._left = seen

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of the data set as they may leave. Batches come in order: safe-harbor numbers whom it meets.

        Raises DataError for more rows than were observed: nobody has looked at their values.
        """
        self._left -= batch.num_rows
        if self._left < 0:
            raise DataError("there are more rows than were looked at before the plan was made")
        days = self._days_of(batch) if any(one.action is Action.SHIFT for one in self.rules) else None
        changed = [self._changed(self._by_name[name], batch, days) for name in self.schema.names]
        return pa.record_batch(changed, schema=self.schema)

    def _changed(self, rule: Rule, batch: pa.RecordBatch, days: pa.Array | None) -> pa.Array:
        column, variable = batch.column(rule.variable), self._given[rule.variable]
        oldest = self._profile.oldest
        match rule.action:
            case Action.YEAR:
                return columns.years(column, rule.counted, oldest)
            case Action.AGE:
                return columns.ages(column, self._beside(batch, _AGE_UNITS))
            case Action.ZIP3:
                return columns.zips(column, self._beside(batch, _COUNTRIES), self._profile.sparse)
            case Action.HASH:
                space = _SPACES.get(rule.meaning, code_spaces.RECORD)
                return columns.codes(column, lambda text: self._codes.of(space, text))
            case Action.SHIFT:
                assert days is not None  # noqa: S101 - made because this rule shifts
                cap = oldest if rule.meaning is Meaning.BIRTH else None
                return columns.shifted(column, rule.counted, days, cap)
            case Action.SCRUB:
                return self._rows.scrubbed(batch, rule.variable, variable.length)
        return column

    def _beside(self, batch: pa.RecordBatch, names: tuple[str, ...]) -> pa.Array | None:
        """A column that explains another one, where it is text."""
        for name in names:
            if name in batch.schema.names and pa.types.is_string(batch.column(name).type):
                return batch.column(name)
        return None

    def _days_of(self, batch: pa.RecordBatch) -> pa.Array:
        encoded = pc.dictionary_encode(columns.as_text(batch.column(self.subject)))
        days = [self._shift(text) for text in encoded.dictionary.to_pylist()]
        return pa.array(days, pa.int64()).take(encoded.indices)

    def _shift(self, subject: str) -> int | None:
        if not subject.strip():
            return None
        if subject not in self._days:
            self._days[subject] = self._codes.days(subject)
        return self._days[subject]

    def _after(self, given: Dataset) -> Dataset:
        kept = [self._variable(one, self._by_name[one.name]) for one in given.variables]
        variables = [one for one in kept if one is not None]
        places = {one.key: place for place, one in enumerate(sorted(filter(_keyed, variables), key=_place), 1)}
        variables = [dataclasses.replace(one, key=places.get(one.key)) if one.key else one for one in variables]
        if self._profile.kind is Kind.NONE and not self._profile.columns:
            return given
        extra = {**given.extra, f"{OWN}kind": self._profile.kind.value, f"{OWN}label": self.label}
        return dataclasses.replace(given, variables=tuple(variables), extra=extra)

    def _variable(self, one: Variable, rule: Rule) -> Variable | None:
        """As it is afterwards; None where it is left out."""
        if rule.action is Action.DROP:
            return None
        if rule.action is Action.KEEP:
            return one
        end = _ENDS.get(rule.action, "")
        label = one.label + end if one.label and len(one.label) + len(end) <= _LABEL else one.label
        extra = {**one.extra, f"{OWN}rule": rule.reason}
        changed = dataclasses.replace(one, label=label, extra=extra)
        if rule.action is Action.HASH or rule.action in _TEXTS:
            length = _TEXTS.get(rule.action, self._codes.length)
            return dataclasses.replace(
                changed, type=DataType.STRING, length=length, format="", informat="", target=None, code_list=""
            )
        if rule.action is Action.AGE and not one.numeric:
            return dataclasses.replace(
                changed, type=DataType.STRING, target=None, length=max(one.length or 4, 4), format=""
            )
        if rule.action is Action.SCRUB:
            return dataclasses.replace(changed, type=DataType.STRING, target=None)
        return changed

    def _goes(self, rule: Rule) -> bool:
        return action(self._profile, rule.meaning) is Action.DROP

    def _held(self, one: Variable) -> pa.DataType:
        """As `sdk.tables.held` has it, which is above this room."""
        if one.counted or one.type in (DataType.FLOAT, DataType.DOUBLE):
            return pa.float64()
        return {DataType.INTEGER: pa.int64(), DataType.BOOLEAN: pa.bool_()}.get(one.type, pa.string())

    def _labelled(self) -> str:
        """What the result may be called, and what was chosen that speaks against it."""
        label = LABELS[self._profile.kind]
        if self._profile.kind is not Kind.SAFE_HARBOR:
            left = [one.variable for one in self.rules if one.chosen and one.action in _LEAVES and self._goes(one)]
            return label + (f"; but {', '.join(left)} left as chosen" if left else "")
        against = [one.variable for one in self.rules if one.chosen and _identifies(one)]
        if against:
            return f"de-identified in part, NOT Safe Harbor: {', '.join(against)} as chosen"
        scrubbed = [one.variable for one in self.rules if one.action is Action.SCRUB]
        kept = [
            one.variable
            for one in self.rules
            if one.chosen and one.action is Action.KEEP and one.meaning not in HARMLESS
        ]
        if scrubbed:
            label += f", but only if somebody has read {', '.join(scrubbed)}: scrubbed by patterns, which can miss"
        return label + (f"; {', '.join(kept)} kept as chosen" if kept else "")


_LEAVES = frozenset({Action.KEEP, Action.SCRUB})


def _identifies(rule: Rule) -> bool:
    """Does what was chosen leave what Safe Harbor takes away?"""
    if rule.meaning in HARMLESS or rule.meaning in (Meaning.UNKNOWN, Meaning.TEXT):
        return rule.action is Action.SHIFT
    fine = {Action.DROP, Action.HASH} if rule.meaning in CODED or rule.meaning in _RECORDS else {Action.DROP}
    fine |= {Action.YEAR} if rule.meaning in DATED else set()
    fine |= {Action.ZIP3} if rule.meaning is Meaning.ZIP else {Action.AGE} if rule.meaning is Meaning.AGE else set()
    return rule.action not in fine


_RECORDS = frozenset({Meaning.RECORD, Meaning.MRN})


def _keyed(one: Variable) -> bool:
    return one.key is not None


def _place(one: Variable) -> int:
    return one.key or 0
