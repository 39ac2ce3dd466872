"""Units of measure as UCUM writes them, case-sensitive, and exact conversion between them.

The units that laboratories and wards use, as data. Stricter than UCUM in one thing: what converts only with
knowledge of the substance (mol to eq, osm, g or a bare number; Gy to Sv) is another dimension here and
refused, not taken as equal. Source: The Unified Code for Units of Measure, chapters 2 to 4.
"""

from __future__ import annotations

import dataclasses
import decimal
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

DIGITS = 15  # significant digits of a result
MAX_UNIT = 100  # characters of a unit
MAX_DEPTH = 10  # parentheses within one another

_RESULT = decimal.Context(
    prec=DIGITS,
    rounding=decimal.ROUND_HALF_UP,
    Emin=-999,
    Emax=999,
    traps=[decimal.InvalidOperation, decimal.Overflow, decimal.Underflow],
)

PREFIXES: dict[str, Fraction] = {
    prefix: Fraction(10) ** power
    for prefix, power in {
        "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
    }.items()
}  # fmt: skip
PREFIXES |= {prefix: Fraction(1024) ** power for power, prefix in enumerate(("Ki", "Mi", "Gi", "Ti"), start=1)}

BASES = frozenset(("m", "s", "g", "rad", "K", "C", "cd", "mol", "eq", "osm", "Sv", "bit", "[iU]"))
"""Units that are defined by no other, with prefixes."""

ARBITRARY = frozenset(
    (
        "[arb'U]", "[USP'U]", "[GPL'U]", "[MPL'U]", "[APL'U]", "[beth'U]", "[anti'Xa'U]", "[todd'U]", "[D'ag'U]",
        "[CFU]", "[PFU]", "[FFU]", "[BAU]", "[AU]", "[Lf]", "[TCID_50]", "[CCID_50]", "[EID_50]", "[HPF]", "[LPF]",
    )
)  # fmt: skip
"""Units of an assay or a microscope: each converts to itself alone, without prefixes."""

METRIC: dict[str, str] = {
    "L": "1 dm3", "l": "1 dm3", "ar": "100 m2", "t": "1000 kg", "st": "1 m3",
    "sr": "1 rad2", "Hz": "1 s-1", "Bq": "1 s-1", "Ci": "37 GBq", "kat": "1 mol/s", "U": "1 umol/min",
    "[IU]": "1 [iU]", "By": "8 bit", "g%": "1 g/dL",
    "N": "1 kg.m/s2", "Pa": "1 N/m2", "J": "1 N.m", "W": "1 J/s", "dyn": "10 uN", "erg": "100 nJ", "gf": "1 g.[g]",
    "bar": "100 kPa", "m[Hg]": "133.322 kPa", "m[H2O]": "9.80665 kPa", "P": "1 dyn.s/cm2", "St": "1 cm2/s",
    "cal": "4.184 J", "cal_th": "4.184 J", "cal_IT": "4.1868 J", "cal_m": "4.19002 J",
    "cal_[15]": "4.1858 J", "cal_[20]": "4.1819 J",
    "A": "1 C/s", "V": "1 J/C", "F": "1 C/V", "Ohm": "1 V/A", "S": "1 A/V", "Wb": "1 V.s", "T": "1 Wb/m2",
    "H": "1 Wb/A", "G": "0.1 mT", "lm": "1 cd.sr", "lx": "1 lm/m2",
    "Gy": "1 J/kg", "RAD": "10 mGy", "REM": "10 mSv", "R": "0.258 mC/kg",
}  # fmt: skip
"""Units with prefixes, and what one of them is."""

PLAIN: dict[str, str] = {
    "10*": "10 1", "10^": "10 1", "%": "0.01 1", "[ppth]": "0.001 1", "[ppm]": "1 10*-6", "[ppb]": "1 10*-9",
    "[pptr]": "1 10*-12", "[pi]": "3.14159265358979323846264338327950288 1",
    "min": "60 s", "h": "60 min", "d": "24 h", "wk": "7 d", "a_j": "365.25 d", "a_g": "365.2425 d",
    "a_t": "365.24219 d", "a": "1 a_j", "mo_j": "1/12 a_j", "mo_g": "1/12 a_g", "mo_s": "29.53059 d", "mo": "1 mo_j",
    "circ": "2 [pi].rad", "deg": "1/360 circ", "gon": "0.9 deg", "'": "1/60 deg", "''": "1/60 '",
    "[in_i]": "2.54 cm", "[ft_i]": "12 [in_i]", "[yd_i]": "3 [ft_i]", "[mi_i]": "5280 [ft_i]", "[nmi_i]": "1852 m",
    "[mil_i]": "0.001 [in_i]", "[sin_i]": "1 [in_i]2", "[sft_i]": "1 [ft_i]2", "[cin_i]": "1 [in_i]3",
    "[cft_i]": "1 [ft_i]3", "[Ch]": "1/3 mm", "Ao": "0.1 nm", "[diop]": "1 m-1", "[S]": "1 10*-13.s",
    "[gr]": "64.79891 mg", "[lb_av]": "7000 [gr]", "[oz_av]": "1/16 [lb_av]", "[dr_av]": "1/16 [oz_av]",
    "[stone_av]": "14 [lb_av]", "[oz_tr]": "480 [gr]", "[lb_tr]": "12 [oz_tr]",
    "[gal_us]": "231 [in_i]3", "[qt_us]": "1/4 [gal_us]", "[pt_us]": "1/2 [qt_us]", "[cup_us]": "1/16 [gal_us]",
    "[foz_us]": "1/8 [cup_us]", "[fdr_us]": "1/8 [foz_us]", "[tbs_us]": "1/2 [foz_us]", "[tsp_us]": "1/3 [tbs_us]",
    "[cup_m]": "240 mL", "[foz_m]": "30 mL", "[tbs_m]": "15 mL", "[tsp_m]": "5 mL", "[drp]": "1/20 mL",
    "[gal_br]": "4.54609 L", "[qt_br]": "1/4 [gal_br]", "[pt_br]": "1/8 [gal_br]", "[foz_br]": "1/160 [gal_br]",
    "[g]": "9.80665 m/s2", "[lbf_av]": "1 [lb_av].[g]", "[psi]": "1 [lbf_av]/[in_i]2", "atm": "101325 Pa",
    "att": "1 kgf/cm2", "[in_i'Hg]": "1 m[Hg].[in_i]/m", "[in_i'H2O]": "1 m[H2O].[in_i]/m",
    "[PRU]": "1 mm[Hg].s/mL", "[wood'U]": "1 mm[Hg].min/L", "[Cal]": "1 kcal_th", "[MET]": "3.5 mL/min/kg",
}  # fmt: skip
"""Units without prefixes, and what one of them is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A value of this unit is `value * factor + offset` in base units; `dimension` are their exponents.

    A `scale` (of temperatures, of acidity) has a zero of its own and so stands alone, in no product.
    """

    factor: Fraction
    dimension: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)
    scale: bool = False


ONE = Unit(Fraction(1))
SCALES: dict[str, Unit] = {
    "Cel": Unit(Fraction(1), (("K", 1),), Fraction("273.15"), scale=True),
    "[degF]": Unit(Fraction(5, 9), (("K", 1),), Fraction("459.67") * Fraction(5, 9), scale=True),
    "[degRe]": Unit(Fraction(5, 4), (("K", 1),), Fraction("273.15"), scale=True),
    "[pH]": Unit(Fraction(1), (("[pH]", 1),), scale=True),
}
"""Units with a zero of their own."""


def convert(value: Decimal, source: Unit, target: Unit, molar_mass: Decimal | None = None) -> Decimal:
    """`value` of the unit `source` in the unit `target`, rounded once, to DIGITS significant digits.

    `molar_mass`, in g/mol, leads between mass and amount of substance, and is not used otherwise. Raises
    ValueError where the units do not measure the same; the text repeats neither value nor unit.
    """
    exact = (Fraction(value) * source.factor + source.offset) * _bridge(source, target, molar_mass)
    exact = (exact - target.offset) / target.factor
    try:
        rounded = _RESULT.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    except decimal.DecimalException:
        raise ValueError("a converted value is out of range") from None
    return rounded.normalize(_RESULT)


def _bridge(source: Unit, target: Unit, molar_mass: Decimal | None) -> Fraction:
    """What the base units of `source` are in those of `target`: 1, or the molar mass or its inverse."""
    if source.dimension == target.dimension:
        return Fraction(1)
    powers = dict(_multiply(source, target, -1).dimension) if not (source.scale or target.scale) else {}
    if powers not in ({"mol": 1, "g": -1}, {"mol": -1, "g": 1}):
        raise ValueError("the units do not measure the same")
    if molar_mass is None:
        raise ValueError("between mass and amount of substance a molar mass is needed")
    if molar_mass <= 0:
        raise ValueError("a molar mass is more than 0")
    return Fraction(molar_mass) ** powers["mol"]


@lru_cache(maxsize=1024)
def parse(text: str) -> Unit:
    """Read a unit such as `mg/dL`, `10*9/L`, `mm[Hg]`, `mL/min/{1.73_m2}`.

    Raises ValueError, worded to follow "the unit …", where UCUM or this table has no such unit.
    """
    if not text:
        raise ValueError("is missing")
    if len(text) > MAX_UNIT:
        raise ValueError(f"has more than {MAX_UNIT} characters")
    return _Reader(text).unit()


_TOKEN = re.compile(
    r"""(?P<mark>[./()])
    |(?P<annotation>\{[^{}]*\})
    |(?P<symbol>10[*^]|(?:[A-Za-z%'_]|\[[^\[\]{}]+\])+)(?P<exponent>[+-]?[0-9]{1,2}(?![0-9]))?
    |(?P<factor>[0-9]++)(?!\.(?!10[*^])[0-9])""",
    re.VERBOSE | re.ASCII,
)
"""A factor is whole: 1.73 would be 1 times 73 to UCUM, which nobody means, so it is refused."""


class _Reader:
    """Reads a unit from left to right, as UCUM does: `a/b.c` is `(a/b).c`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def unit(self) -> Unit:
        unit = self.term()
        if self.at < len(self.text):
            raise ValueError("is not written as UCUM writes units")
        return unit

    def term(self) -> Unit:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"has more than {MAX_DEPTH} parentheses within one another")
        unit = _multiply(ONE, self.component(), -1) if self.take("/") else self.component()
        while True:
            if self.take("."):
                unit = _multiply(unit, self.component())
            elif self.take("/"):
                unit = _multiply(unit, self.component(), -1)
            else:
                self.depth -= 1
                return unit

    def take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def component(self) -> Unit:
        """A unit with its exponent, a number, a term in parentheses; an annotation changes nothing."""
        if self.take("("):
            unit = self.term()
            if not self.take(")"):
                raise ValueError("lacks a parenthesis")
            return unit
        match = _TOKEN.match(self.text, self.at)
        if match is None or match["mark"]:
            raise ValueError("is not written as UCUM writes units")
        self.at = match.end()
        if match["annotation"]:
            return ONE
        unit = _number(match["factor"]) if match["factor"] else _power(_atom(match["symbol"]), match["exponent"])
        following = _TOKEN.match(self.text, self.at)
        if following is not None and following["annotation"]:
            self.at = following.end()
        return unit


def _number(digits: str) -> Unit:
    if not int(digits):
        raise ValueError("has a factor of 0")
    return Unit(Fraction(int(digits)))


@lru_cache(maxsize=1024)
def _atom(symbol: str) -> Unit:
    """A unit without operators: of the table, or of its metric units with a prefix."""
    if symbol in SCALES:
        return SCALES[symbol]
    if symbol in BASES or symbol in ARBITRARY:
        return Unit(Fraction(1), ((symbol, 1),))
    definition = METRIC.get(symbol) or PLAIN.get(symbol)
    if definition is not None:
        amount, _, unit = definition.partition(" ")
        return _scaled(parse(unit), Fraction(amount))
    for length in (1, 2):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in PREFIXES and (rest in METRIC or rest in BASES):
            return _scaled(_atom(rest), PREFIXES[prefix])
    raise ValueError("is none that UCUM, as far as it is known here, has")


def _scaled(unit: Unit, factor: Fraction) -> Unit:
    return Unit(unit.factor * factor, unit.dimension)


def _power(unit: Unit, exponent: str | None) -> Unit:
    if exponent is None:
        return unit
    power = int(exponent)
    if unit.scale:
        raise ValueError("has a scale with an exponent")
    return Unit(unit.factor**power, _sorted({base: number * power for base, number in unit.dimension}))


def _multiply(left: Unit, right: Unit, power: int = 1) -> Unit:
    """`left.right`, or `left/right` where `power` is -1."""
    if right == ONE:
        return left
    if left == ONE and power == 1:
        return right
    if left.scale or right.scale:
        raise ValueError("has a scale in a product; differences of temperature are in K")
    powers = dict(left.dimension)
    for base, number in right.dimension:
        powers[base] = powers.get(base, 0) + number * power
    return Unit(left.factor * right.factor**power, _sorted(powers))


def _sorted(powers: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((base, power) for base, power in powers.items() if power))
