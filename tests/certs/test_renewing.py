"""All certificates of a home, each when it is time; with clocks that are passed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mv_iptel import certs, config
from mv_iptel.certs import Names, making, places, renewing
from mv_iptel.certs.reading import load_chain
from mv_iptel.home import Home

NAMES = Names(("files1",), ())
LATER = datetime.now(UTC) + timedelta(days=making.SERVER_DAYS - 10)


@pytest.fixture
def both(home):
    """Configurations in which HTTPSAltPorts and FTPS have certificates of their own."""
    loaded = config.defaults(home)
    alt, ftps = (places.own_files(home, one) for one in ("https-alt", "ftps"))
    loaded = replace(
        loaded,
        https=replace(
            loaded.https, run_https=True, https_alt_cert_file=alt.cert_file, https_alt_key_file=alt.key_file
        ),
        ftps=replace(loaded.ftps, run_ftps=True, ftps_cert_file=ftps.cert_file, ftps_key_file=ftps.key_file),
    )  # fmt: skip
    return loaded, config.load_manager(home)


def results(done):
    return {one.listeners: one.result for one in done}


def test_each_certificate_once_with_all_who_show_it(both):
    found = places.every(*both)
    assert [one.listeners for one in found] == [("https", "central", "manager"), ("https-alt",), ("ftps",)]
    assert found[0].used and found[0].title == "HTTPS, central API, manager"
    assert both[0].pairs() == (both[0].pair("https"), both[0].pair("https-alt"), both[0].pair("ftps"))


def test_what_is_due_is_renewed_and_nothing_else(home, both):
    for one, days in (("https-alt", 9000), ("ftps", 0)):
        certs.make_server(home, NAMES, *both[0].pair(one), shape=certs.Shape("p256", days=days))
    keys = [both[0].pair(one).key_file.read_bytes() for one in ("https", "ftps")]
    assert set(results(renewing.renew_all(*both)).values()) == {"not due"}
    done = renewing.renew_all(*both, now=LATER)
    assert results(done) == {
        ("https", "central", "manager"): "renewed", ("https-alt",): "not due", ("ftps",): "renewed",
    }  # fmt: skip
    assert done[0].ends is not None and done[0].ends > LATER + timedelta(days=700)
    assert [both[0].pair(one).key_file.read_bytes() for one in ("https", "ftps")] == keys
    assert certs.names_of(load_chain(both[0].pair("ftps").cert_file)[0]) == NAMES
    assert set(results(renewing.renew_all(*both, force=True)).values()) == {"renewed"}


def test_what_cannot_be_renewed_here_is_told_when_it_is_due(home, both, tmp_path):
    other = Home(tmp_path / "other")
    certs.make_authority(other, "Other")
    certs.make_server(other, NAMES, *both[0].pair("ftps"), shape=certs.Shape("p256"))
    assert results(renewing.renew_all(*both))["ftps",] == "not due"
    done = {one.listeners: one for one in renewing.renew_all(*both, now=LATER)}
    assert done["ftps",].result == "failed" and "another authority" in done["ftps",].text
    # And one that is not there, while its port is on.
    assert done["https-alt",].result == "failed" and "is not there" in done["https-alt",].text
    assert done["https", "central", "manager"].result == "renewed"


def test_the_end_of_the_authority_is_told(home, both):
    late = datetime.now(UTC) + timedelta(days=making.AUTHORITY_DAYS - 5)
    done = renewing.renew_all(*both, now=late)
    assert done[-1].listeners == ("authority",) and "ca --renew" in done[-1].text
    again = results(renewing.renew_all(*both, now=late))
    assert again["https", "central", "manager"] == "not due"  # it would only end with its authority again
    home.ca_key.unlink()
    assert ("authority",) not in results(renewing.renew_all(*both))


def test_a_new_authority_signs_anew_what_the_old_one_signed(home, both):
    old = load_chain(home.ca_cert)
    certs.make_server(home, NAMES, *both[0].pair("ftps"), shape=certs.Shape("p256"))
    certs.make_authority(home, "Another")
    assert renewing.reissue(*both, old) == [home.cert_file, both[0].pair("ftps").cert_file]
    assert all(making.is_ours(home, load_chain(path)[0]) for path in (home.cert_file,))
