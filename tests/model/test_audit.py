"""Every act is of one of four kinds, and what nobody foresaw counts as a change."""

from __future__ import annotations

import pytest

from hilum.model.audit import Kind, kind_of


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("message.show", Kind.READ), ("audit.export", Kind.READ), ("user.invite", Kind.CREATE),
        ("user.change", Kind.UPDATE), ("api-key.revoke", Kind.DELETE), ("lane.retry", Kind.UPDATE),
        ("something.unheard-of", Kind.UPDATE), ("", Kind.UPDATE),
    ],
)  # fmt: skip
def test_an_act_has_a_kind(action: str, kind: Kind) -> None:
    assert kind_of(action) is kind
