"""UCUM units are read as UCUM writes them and converted exactly; what does not measure the same is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ExpressionError
from hilum.expressions import EvaluationError, compile_expression
from hilum.expressions.units import ARBITRARY, BASES, METRIC, PLAIN, PREFIXES, SCALES, convert, parse

ATOMS = sorted({*BASES, *ARBITRARY, *METRIC, *PLAIN, *SCALES})


def converted(value: str, source: str, target: str, molar_mass: str | None = None) -> str:
    mass = None if molar_mass is None else Decimal(molar_mass)
    return format(convert(Decimal(value), parse(source), parse(target), mass), "f")


@pytest.mark.ledger_part("S2-123", "UCUM units convert exactly")
@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        ("5.3", "mmol/L", "umol/L", "5300"),
        ("140", "g/l", "g/dL", "14"),
        ("4.5", "10*9/L", "/nL", "4.5"),
        ("4500", "{cells}/uL", "10*9/L", "4.5"),
        ("7", "10^3/uL", "10*9/L", "7"),
        ("37.5", "Cel", "[degF]", "99.5"),
        ("-40", "[degF]", "Cel{axillary}", "-40"),
        ("0", "Cel", "mK", "273150"),
        ("80", "[degRe]", "K", "373.15"),
        ("1", "K", "[degF]", "-457.87"),
        ("7.4", "[pH]", "[pH]", "7.4"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("10", "cm[H2O]", "mbar", "9.80665"),
        ("14.5", "[psi]", "bar", "0.999739807509412"),
        ("1", "atm", "mm[Hg]", "760.002100178515"),
        ("1", "U/L", "ukat/L", "0.0166666666666667"),
        ("1", "kcal", "kJ", "4.184"),
        ("1", "[Cal]", "J", "4184"),
        ("1", "kW.h", "MJ", "3.6"),
        ("1", "N.m", "erg", "10000000"),
        ("6", "[ft_i]", "m", "1.8288"),
        ("70", "[in_i]", "cm", "177.8"),
        ("1", "[mi_i]", "[yd_i]", "1760"),
        ("1", "[stone_av]", "kg", "6.35029318"),
        ("16", "[oz_av]", "[lb_av]", "1"),
        ("1", "[lb_tr]", "g", "373.2417216"),
        ("1", "[foz_us]", "mL", "29.5735295625"),
        ("8", "[pt_br]", "L", "4.54609"),
        ("20", "[drp]", "ml", "1"),
        ("18", "[Ch]", "mm", "6"),
        ("2", "wk", "h", "336"),
        ("1", "a", "d", "365.25"),
        ("12", "mo", "a", "1"),
        ("180", "deg", "rad", "3.14159265358979"),
        ("1", "deg", "''", "3600"),
        ("1", "[ppth]", "%", "0.1"),
        ("250", "[ppm]", "[ppb]", "250000"),
        ("90", "mL/min/{1.73_m2}", "L/h", "5.4"),
        ("2", "g/(24.h)", "mg/min", "1.38888888888889"),
        ("1", "m/s2", "cm.s-2", "100"),
        ("1", "mCi", "MBq", "37"),
        ("1", "Gy", "RAD", "100"),
        ("1", "REM", "mSv", "10"),
        ("5", "V/A", "mOhm", "5000"),
        ("1", "S", "Ohm-1", "1"),
        ("1", "T", "G", "10000"),
        ("80", "/min", "Hz", "1.33333333333333"),
        ("1.5", "k[iU]/L", "[IU]/mL", "1.5"),
        ("3", "m[iU]/mL", "[iU]/L", "3"),
        ("3", "meq/L", "eq/m3", "3"),
        ("290", "mosm/kg", "osm/kg", "0.29"),
        ("1", "KiBy", "bit", "8192"),
        ("1", "g%", "g/L", "10"),
        ("12", "[CFU]/mL", "[CFU]/L", "12000"),
        ("1", "[wood'U]", "[PRU]", "0.06"),
        ("1", "lx", "lm/cm2", "0.0001"),
        ("1", "{score}", "1", "1"),
        ("-0.0", "g", "kg", "0"),
    ],
)
def test_known_conversions(value: str, source: str, target: str, result: str) -> None:
    assert converted(value, source, target) == result


@pytest.mark.parametrize(
    ("value", "source", "target", "mass", "result"),
    [
        ("5.5", "mmol/L", "mg/dL", "180.156", "99.0858"),
        ("99.0858", "mg/dL", "mmol/L", "180.156", "5.5"),
        ("1", "mg/dL", "umol/L", "113.12", "88.4016973125884"),
        ("5.5", "mmol/L", "umol/L", "180.156", "5500"),
        ("2", "g/L", "mg/dL", "180.156", "200"),
    ],
)
def test_a_molar_mass_leads_between_mass_and_amount(
    value: str, source: str, target: str, mass: str, result: str
) -> None:
    assert converted(value, source, target, mass) == result


@pytest.mark.parametrize(
    ("source", "target", "mass", "reason"),
    [
        ("g", "m", None, "do not measure the same"),
        ("g", "m", "18", "do not measure the same"),
        ("mmol/L", "mg/dL", None, "a molar mass is needed"),
        ("mmol/L", "mg/dL", "0", "more than 0"),
        ("mmol/L", "mg/dL", "-1", "more than 0"),
        ("mmol/L", "mg", "18", "do not measure the same"),
        ("mol2", "g2", "18", "do not measure the same"),
        ("mmol/L", "meq/L", "40", "do not measure the same"),
        ("mmol/L", "mosm/L", "40", "do not measure the same"),
        ("mol", "10*23", None, "do not measure the same"),
        ("[iU]", "ug", "100", "do not measure the same"),
        ("[iU]", "U", None, "do not measure the same"),
        ("[CFU]", "[PFU]", None, "do not measure the same"),
        ("/[HPF]", "/[LPF]", None, "do not measure the same"),
        ("Gy", "Sv", None, "do not measure the same"),
        ("[pH]", "mol/L", None, "do not measure the same"),
        ("Cel", "g", "18", "do not measure the same"),
        ("Y" + "m99", "ym99", None, "out of range"),
        ("ym99", "Ym99", None, "out of range"),
    ],
)
def test_what_does_not_convert(source: str, target: str, mass: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        converted("4711", source, target, mass)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        ("MG/DL", "none that UCUM"),
        ("mcg", "none that UCUM"),
        ("kmin", "none that UCUM"),
        ("kkg", "none that UCUM"),
        ("k", "none that UCUM"),
        ("mCel", "none that UCUM"),
        ("[in_x]", "none that UCUM"),
        ("mg dL", "not written"),
        (" mg", "not written"),
        ("mg/", "not written"),
        ("mg//dL", "not written"),
        ("mg..dL", "not written"),
        ("mg)", "not written"),
        ("(mg", "lacks a parenthesis"),
        ("{open", "not written"),
        ("{a}{b}", "not written"),
        ("mg{a}dL", "not written"),
        ("10*U", "not written"),
        ("mL/min/1.73.m2", "not written"),
        ("12.5", "not written"),
        ("m100", "not written"),
        ("µg", "not written"),
        ("°C", "not written"),
        ("0.m", "factor of 0"),
        ("Cel/h", "scale in a product"),
        ("/Cel", "scale in a product"),
        ("10.[degF]", "scale in a product"),
        ("Cel2", "scale with an exponent"),
        ("(" * 11 + "m" + ")" * 11, "within one another"),
        ("m" * 101, "more than 100"),
    ],
)
def test_what_is_no_unit(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


def test_a_unit_is_read_from_left_to_right() -> None:
    assert parse("kg/m.s") == parse("kg.s/m") != parse("kg/(m.s)")
    assert parse("/m.s") == parse("s/m")
    assert parse("mL/min/kg") == parse("mL/(min.kg)")
    assert parse("5.10*3") == parse("5000")
    assert parse("m+2") == parse("m2") == parse("m.m")


def test_every_unit_of_the_table_can_be_read() -> None:
    assert all(parse(symbol).factor > 0 for symbol in ATOMS)
    sets = [BASES, ARBITRARY, METRIC.keys(), PLAIN.keys(), SCALES.keys()]
    assert sum(map(len, sets)) == len(ATOMS), "none is in two tables"


def test_a_prefix_leaves_no_doubt() -> None:
    prefixed = [prefix + symbol for prefix in PREFIXES for symbol in (*BASES, *METRIC)]
    assert len(prefixed) == len(set(prefixed))
    assert set(prefixed) & set(ATOMS) == set()


UNITS = st.recursive(
    st.sampled_from([*sorted(set(ATOMS) - set(SCALES)), "mg", "dL", "umol", "mm[Hg]", "10*9", "s-2", "{x}", "24"]),
    lambda part: st.one_of(st.tuples(part, st.sampled_from("./"), part).map("".join), part.map(lambda one: f"({one})")),
    max_leaves=4,
)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.sampled_from(ATOMS), UNITS)
def test_there_and_back(value: Decimal, scaled: str, unit: str) -> None:
    """`24.unit` is of the unit's dimension, and of another size."""
    for source, target in ((unit, f"24.({unit})"), (scaled, scaled)):
        there = convert(value, parse(source), parse(target))
        back = convert(there, parse(target), parse(source))
        assert abs(back - value) <= abs(value) * Decimal("1e-14")
        assert len(there.as_tuple().digits) <= 15
        assert there == convert(value, parse(source), parse(target))


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="mgL/.()[]{}10*^-+ ", max_size=110)))
def test_any_text_is_a_unit_or_a_value_error(text: str) -> None:
    try:
        factor = parse(text).factor
    except ValueError:
        return
    assert factor > 0


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("convert(OBX-5, OBX-6, 'umol/L')", "5500"),
        ("convert(OBX[2]-5, OBX[2]-6, 'g/dL')", "14"),
        ("convert(OBX-5, OBX-6, 'mg/dL', 180.156) & ' mg/dL'", "99.0858 mg/dL"),
        ("convert(5.5, 'mmol/L', 'umol/L', null)", "5500"),
        ("text(convert(1, 'Yg', 'yg'))", "1" + "0" * 48),
        ("convert('', 'kg', 'g')", None),
        ("convert(null, PID-5.1, 'g')", None),
    ],
)
def test_the_function(evaluate: Any, source: str, result: str | None) -> None:
    found = evaluate(source)
    assert (format(found, "f") if isinstance(found, Decimal) else found) == result


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("convert(1, PID-5.1, 'g')", "the unit to convert from is none that UCUM"),
        ("convert(1, PID-20, 'g')", "the unit to convert from is missing"),
        ("convert(PID-3.1, 'm', 'g')", "do not measure the same"),
        ("convert(PID-3.1, 'mol', 'g')", "a molar mass is needed"),
        ("convert(PID-5.1, 'kg', 'g')", "a value is no number"),
    ],
)
def test_an_error_repeats_no_value(evaluate: Any, source: str, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason) as caught:
        evaluate(source)
    assert "Doe" not in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("convert(1, 'g', 'mcg')", r"the unit 'mcg' is none that UCUM.*\(character 17\)"),
        ("convert(1, 'g', OBX-6)", "takes a text in quotes"),
        ("convert(1, 'g')", "takes 3 to 4 values"),
    ],
)
def test_the_unit_to_convert_to_is_read_when_it_is_compiled(source: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        compile_expression(source)
