from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hilum import clock
from hilum.model.configuration import Breaker as Settings
from hilum.outbound.breaker import Breaker


class Clock:
    """Moves where it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)  # the clock is there to be moved


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.ledger_part("S4-90", "closed, open and half-open per endpoint, thresholds configurable")
def test_from_closed_to_open_to_half_open_and_back(time: Clock) -> None:
    breaker = Breaker(Settings(failures=3, open_for=2_000))
    for _ in range(2):
        breaker.failure()
        assert (breaker.state, breaker.wait()) == ("closed", 0.0)
    breaker.failure()
    assert (breaker.state, breaker.wait()) == ("open", 2.0)
    time.now += 1.5
    assert breaker.wait() == pytest.approx(0.5)
    time.now += 0.5
    assert breaker.state == "half-open"
    assert breaker.wait() == 0.0  # the probe
    assert breaker.wait() > 0  # nobody else meanwhile
    breaker.failure()
    assert (breaker.state, breaker.wait()) == ("open", 2.0)
    time.now += 2
    assert breaker.wait() == 0.0
    breaker.success()
    assert (breaker.state, breaker.failures) == ("closed", 0)
    assert [breaker.wait() for _ in range(5)] == [0.0] * 5


def test_a_success_in_between_starts_the_count_again(time: Clock) -> None:
    breaker = Breaker(Settings(failures=2))
    for _ in range(10):
        breaker.failure()
        breaker.success()
    assert breaker.state == "closed"


def test_a_probe_that_never_ends_lets_another_one_through(time: Clock) -> None:
    breaker = Breaker(Settings(failures=1, open_for=1_000))
    breaker.failure()
    time.now += 1
    assert breaker.wait() == 0.0
    assert breaker.wait() == pytest.approx(1.0)
    time.now += 1
    assert breaker.wait() == 0.0


@pytest.mark.ledger_part("S4-90", "resettable")
def test_a_person_may_reset_it(time: Clock) -> None:
    breaker = Breaker(Settings(failures=1, open_for=3_600_000))
    breaker.failure()
    assert breaker.wait() > 3_000
    breaker.reset()
    assert (breaker.state, breaker.wait()) == ("closed", 0.0)


class Breaking(RuleBasedStateMachine):
    """Whatever happens, it closes after a success and never waits longer than it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(Settings(failures=3, open_for=500))

    @rule()
    def fail(self) -> None:
        self.breaker.failure()

    @rule()
    def succeed(self) -> None:
        self.breaker.success()
        assert (self.breaker.state, self.breaker.wait()) == ("closed", 0.0)

    @rule(times=st.integers(1, 5))
    def ask(self, times: int) -> None:
        waits = [self.breaker.wait() for _ in range(times)]
        assert all(0 <= one <= 0.5 for one in waits)
        if self.breaker.state != "closed":
            assert waits.count(0.0) <= 1

    @invariant()
    def its_state_is_one_of_three(self) -> None:
        assert self.breaker.state in ("closed", "open", "half-open")
        assert (self.breaker.state == "closed") == (self.breaker.failures < 3)


TestBreaking = Breaking.TestCase
