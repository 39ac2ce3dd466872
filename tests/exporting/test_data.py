"""What is written of a table: the variables and rows that were asked for."""

from __future__ import annotations

import pytest

from hilum.errors import HilumError
from hilum.exporting import data
from hilum.model.dataset import Dataset, Variable


def test_variables_are_chosen_in_their_order() -> None:
    whole = Dataset("X", (Variable("A"), Variable("B"), Variable("C")))
    assert data.chosen(whole, ["C", "A"]).names == ("C", "A")
    assert data.chosen(whole, None) is whole
    with pytest.raises(HilumError, match="no such variable"):
        data.chosen(whole, ["D"])
