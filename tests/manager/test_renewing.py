"""The manager's daily look at the certificates, by a clock of the test's."""

from __future__ import annotations

import asyncio
import time

import pytest

from manager.renewing import AGAIN, FIRST, WHO, Renewal
from manager.site import Site
from mv_iptel import certs
from mv_iptel.config import load_manager

DAY = 86400.0


@pytest.fixture
def site(fresh):
    made = Site(load_manager(fresh))
    yield made
    asyncio.run(made.close())


@pytest.fixture
def clock():
    return [time.time()]


def test_nothing_is_due_then_it_is_and_stands_in_the_trail(site, clock):
    renewal = Renewal(site, lambda: clock[0])
    assert renewal.wait() == FIRST
    serial = certs.load_chain(site.home.cert_file)[0].serial_number
    assert [one.result for one in renewal.look()] == ["not due"]
    assert renewal.wait() == AGAIN and site.audit.last() == []
    clock[0] += (certs.SERVER_DAYS - certs.RENEW_DAYS + 1) * DAY
    assert renewal.wait() == 0
    assert [one.result for one in renewal.look()] == ["renewed"]
    assert certs.load_chain(site.home.cert_file)[0].serial_number != serial
    (row,) = site.audit.last()
    assert (row["who"], row["action"]) == (WHO, "certificate-renewed") and "IPTelcert.pem" in row["what"]


def test_what_cannot_be_renewed_is_told_once(site, clock, caplog):
    renewal = Renewal(site, lambda: clock[0])
    site.home.ca_key.unlink()
    clock[0] += (certs.SERVER_DAYS - 1) * DAY
    for _ in range(3):
        assert [one.result for one in renewal.look()] == ["failed"]
    (told,) = [one.getMessage() for one in caplog.records if "cannot be renewed" in one.getMessage()]
    assert "certs ca" in told


def test_a_look_that_fails_is_not_the_last(site, clock, caplog):
    renewal = Renewal(site, lambda: clock[0])
    site.home.lock.unlink(missing_ok=True)
    site.home.lock.symlink_to("nowhere")  # which nobody follows
    assert renewal.look() == [] and "not looked at" in caplog.text
    assert renewal.wait() == AGAIN


def test_it_runs_when_it_is_due(site):
    """By a clock on which the first look is due at once, and the next one in a day."""
    times = iter([0.0])
    renewal = Renewal(site, lambda: next(times, time.time()))

    async def story():
        task = asyncio.create_task(renewal.run())
        while renewal.wait() == 0 and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert renewal.wait() > AGAIN - 60
