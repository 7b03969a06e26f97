"""One reader has a session at a time, and the tail learns when a child was there."""

from __future__ import annotations

from holdfast.ingest.claims import SessionClaims


def test_a_session_is_taken_once_until_it_is_released() -> None:
    claims = SessionClaims()
    assert claims.take("a")
    assert not claims.take("a")
    assert claims.take("b")
    claims.release("a")
    assert claims.take("a")


def test_what_a_child_has_read_is_stale_once() -> None:
    claims = SessionClaims()
    claims.take("a")
    claims.release("a", stale=True)
    assert claims.take_stale("a")
    assert not claims.take_stale("a")


def test_what_the_tail_has_read_is_not_stale() -> None:
    claims = SessionClaims()
    claims.take("a")
    claims.release("a")
    assert not claims.take_stale("a")
