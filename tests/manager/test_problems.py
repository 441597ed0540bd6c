"""What cannot be done, as programs are told it."""

from __future__ import annotations

import errno

import pytest

from manager.problems import KINDS, Problem, full


def test_the_members_of_a_problem():
    problem = Problem("changed", "read it again", etag="abc")
    assert problem.document("/api/v1/x") == {
        "type": "/problems/changed", "title": "Somebody else has changed this meanwhile", "status": 412,
        "detail": "read it again", "instance": "/api/v1/x", "etag": "abc",
    }  # fmt: skip
    assert set(Problem("fault").document()) == {"type", "title", "status"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_status_and_a_sentence(kind):
    status, title = KINDS[kind]
    assert 400 <= status < 600 and title[0].isupper() and not title.endswith(".")


def test_an_unknown_kind_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        Problem("nonsense")


def test_which_faults_are_a_full_disk():
    assert full(OSError(errno.ENOSPC, "x")) and full(OSError(errno.EDQUOT, "x"))
    assert not full(OSError(errno.EACCES, "x")) and not full(ValueError())
