"""Messages read as RFC 5424 has them, whatever is put into them."""

from __future__ import annotations

from hilum.formats import syslog


def test_a_message_with_everything() -> None:
    message = syslog.Message(
        syslog.NOTICE, "2026-05-04T10:20:30.000001Z", "hub.example", "hilum", "user.create", '{"name":"Zoë"}',
        {"meta": {"sequenceId": "7"}, "origin": {"software": "Hilum"}},
    ).encode()  # fmt: skip
    head = b'<109>1 2026-05-04T10:20:30.000001Z hub.example hilum - user.create [meta sequenceId="7"][origin software='
    assert message == head + b'"Hilum"] \xef\xbb\xbf{"name":"Zo\xc3\xab"}'
    assert syslog.frame(message).startswith(b"%d <109>1 " % len(message))


def test_what_a_field_must_not_hold_becomes_a_hyphen() -> None:
    message = syslog.Message(syslog.WARNING, "-", "a host\n", "", "x" * 40, "", {"meta": {"a": 'q"]\\'}}).encode()
    assert message == b"<108>1 - a-host- - - " + b"x" * 32 + b' [meta a="q\\"\\]\\\\"] \xef\xbb\xbf'
    assert syslog.Message(5, "-", "h", "n", "k", "t").encode() == b"<109>1 - h n - k - \xef\xbb\xbft"


def test_the_mark_of_utf8_can_be_left_out() -> None:
    message = syslog.Message(syslog.NOTICE, "-", "h", "n", "k", "CEF:0|x", marked=False).encode()
    assert message == b"<109>1 - h n - k - CEF:0|x"
