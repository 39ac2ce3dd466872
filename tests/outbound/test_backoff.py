from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.outbound.backoff import CAP, delay


@pytest.mark.ledger_part("S2-114", "base 1 s, factor 2, full jitter, cap 60 s")
@pytest.mark.ledger_part("S4-79", "base 1 s, factor 2, full jitter, cap 60 s")
@given(attempt=st.integers(1, 10_000))
def test_it_doubles_up_to_its_cap(attempt: int) -> None:
    most = min(60.0, 2.0 ** (attempt - 1) if attempt < 60 else 60.0)
    assert 0 <= delay(attempt) <= most


@pytest.mark.parametrize(("attempt", "most"), [(1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (500, 60.0)])
def test_jitter_is_full(attempt: int, most: float) -> None:
    """Spread evenly over the whole span, so that many lanes do not knock together."""
    drawn = [delay(attempt) / most for _ in range(2_000)]
    quarters = [sum(low <= one < low + 0.25 for one in drawn) for low in (0.0, 0.25, 0.5, 0.75)]
    assert min(quarters) > 380  # 500 each on average; six standard deviations below


@pytest.mark.ledger_part("S2-114", "Retry-After wins")
@given(asked=st.floats(-10, 10_000), attempt=st.integers(1, 100))
def test_what_the_partner_asked_for_wins_up_to_an_hour(asked: float, attempt: int) -> None:
    assert delay(attempt, asked) == min(max(asked, 0.0), 3_600.0)


def test_another_base() -> None:
    assert max(delay(1, base=0.5) for _ in range(200)) <= 0.5
    assert max(delay(30, base=0.5) for _ in range(200)) <= CAP
