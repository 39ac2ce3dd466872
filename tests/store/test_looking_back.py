"""A list by stretches of ids: as much as is wanted, from no more than is allowed, and where to go on."""

from __future__ import annotations

import pytest

from hilum.store.looking_back import MOST, STRETCH, look_back


class Rows:
    """Ids that a filter matches; `looked`: the stretches that were asked for."""

    def __init__(self, *ids: int) -> None:
        self.ids = sorted(ids, reverse=True)
        self.looked: list[tuple[int, int]] = []

    def look(self, top: int, floor: int, most: int) -> list[int]:
        self.looked.append((top, floor))
        return [one for one in self.ids if floor <= one < top][:most]


def test_what_is_near_is_found_in_one_look() -> None:
    rows = Rows(*range(1_000_000 - 50, 1_000_000))
    assert look_back(rows.look, 1_000_000, 3) == ([999_999, 999_998, 999_997], None)
    assert rows.looked == [(1_000_000, 1_000_000 - STRETCH)]


def test_no_more_than_so_many_ids_are_looked_through() -> None:
    rows = Rows(7, 999_000)
    found, below = look_back(rows.look, 1_000_000, 3)
    assert (found, below) == ([999_000], 1_000_000 - MOST)
    assert rows.looked[-1] == (below + STRETCH, below)
    assert all(first[1] == second[0] for first, second in zip(rows.looked, rows.looked[1:], strict=False))


@pytest.mark.parametrize("top", [1, STRETCH, STRETCH + 1, MOST, MOST + 1, 5 * MOST // 2])
def test_page_by_page_all_is_found_once(top: int) -> None:
    ids = {1, STRETCH - 1, STRETCH, STRETCH + 1, MOST - 1, MOST, MOST + 1, 2 * MOST} & set(range(top))
    rows, found, below = Rows(*ids), list[int](), top
    while below is not None:
        more, below = look_back(rows.look, below, 10)
        found += more
    assert found == sorted(ids, reverse=True)


def test_a_page_that_is_full_needs_no_next_look() -> None:
    rows = Rows(5, 6)
    assert look_back(rows.look, 10, 2) == ([6, 5], None)
    assert look_back(rows.look, 0, 2) == ([], None)
