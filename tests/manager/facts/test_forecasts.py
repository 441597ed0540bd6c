"""What a release would do: found out once, beside whoever asks, until something changes."""

from __future__ import annotations

import threading

import pytest

from manager.facts import forecasts
from manager.facts.forecasts import Forecast, Forecasts, forecast
from manager.problems import Problem
from tests.firmware.site import Site

NEW = b"SET APPNAME S9608_11HALBR6_2_V1.tar\nGET 46xxsettings.txt\n"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_publishing_and_taking_back_as_the_publisher_would(site):
    site.lay("HTTPdata/96x1Hupgrade.txt", b"GET 46xxsettings.txt\n")
    ident = site.add("one", {"HTTPdata/96x1Hupgrade.txt": NEW, "HTTPdata/S9608_11HALBR6_2_V1.tar": b"2"})
    seen = forecast(site.config, "publish", ident, "stop")
    assert [one["name"] for one in seen.conflicts] == ["96x1Hupgrade.txt"] and seen.blocked
    seen = forecast(site.config, "publish", ident, "replace")
    assert not seen.blocked and seen.counts == {"replaced": 1, "new": 1} and seen.gains
    assert {one["what"] for one in seen.files} == {"replaced", "new"}
    assert site.releases.get(ident).state == "staged"
    site.publisher.publish(ident, "replace", losses=True, force=True)
    back = forecast(site.config, "rollback", ident, "stop")
    assert back.counts == {"replaced": 1, "removed": 1}
    assert {(one["place"], one["name"]) for one in back.files} == {
        ("HTTPdata", "96x1Hupgrade.txt"), ("HTTPdata", "S9608_11HALBR6_2_V1.tar"),
    }  # fmt: skip
    assert any("no script orders" in one["text"] for one in back.losses) and back.as_dict()["full"] is False
    site.lay("HTTPdata/96x1Hupgrade.txt", NEW + b"# ours\n")
    assert forecast(site.config, "rollback", ident, "stop").conflicts


def test_a_release_that_is_gone_and_a_store_that_is_broken(site):
    assert forecast(site.config, "publish", "one-00000000", "stop").problems
    ident = site.add("one", {"HTTPdata/a.scr": b"1"})
    site.releases.content(site.releases.get(ident).files[0].sha256).unlink()
    assert "not in the store" in forecast(site.config, "publish", ident, "stop").problems[0]


class Slow:
    """Finds out when it is told to."""

    def __init__(self):
        self.go, self.asked, self.time = threading.Event(), [], 1000.0

    def find(self, config, action, ident, live):
        self.go.wait(20)
        self.asked.append(ident)
        if ident == "broken":
            raise ValueError
        return Forecast(action, ident, live, self.time)

    def now(self):
        return self.time


def test_it_is_found_out_once_and_kept_until_something_changes(site):
    slow = Slow()
    known = Forecasts(slow.find, slow.now)
    assert known.ask(site.config, "publish", "a", "stop") is None
    assert known.ask(site.config, "publish", "a", "stop") is None
    slow.go.set()
    assert known.ask(site.config, "publish", "a", "stop", 20).release == "a"
    assert known.ask(site.config, "publish", "a", "stop") is not None and slow.asked == ["a"]
    site.lay("HTTPdata/new.txt", b"x")
    assert known.ask(site.config, "publish", "a", "stop", 20) is not None and slow.asked == ["a", "a"]
    known.forget()
    assert known.ask(site.config, "publish", "a", "stop", 20) is not None and len(slow.asked) == 3
    slow.time += forecasts.AGE + 1
    assert known.ask(site.config, "publish", "a", "stop", 20) is not None and len(slow.asked) == 4


def test_what_cannot_be_found_out_is_told(site):
    slow = Slow()
    slow.go.set()
    found = Forecasts(slow.find, slow.now).ask(site.config, "publish", "broken", "stop", 20)
    assert found.blocked and "ValueError" in found.problems[0]


def test_only_so_many_may_be_asked_for(site):
    slow = Slow()
    known = Forecasts(slow.find, slow.now)
    for number in range(forecasts.WAITING):
        assert known.ask(site.config, "publish", f"r{number}", "stop") is None
    with pytest.raises(Problem, match="busy"):
        known.ask(site.config, "publish", "more", "stop")
    slow.go.set()
