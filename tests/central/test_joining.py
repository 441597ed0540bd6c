"""Enrolment: one line, and nothing secret to anybody but who the line names."""

from __future__ import annotations

import pytest

from mv_iptel import certs
from mv_iptel.central.inviting import Invite
from mv_iptel.central.joining import NotJoined, _key_file
from mv_iptel.central.peers import certificate_of, peers_of, token_of
from mv_iptel.central.state import State
from tests.central.branch import Site, invitation
from tests.central.office import Office


@pytest.fixture
def office(tmp_path):
    with Office(tmp_path / "office", settings={"server_name": "Head office"}) as running:
        yield running


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "oslo")


def test_one_line_makes_a_branch(office, site):
    ini = site.home.ini.read_text()
    office.publish(4, b"x")
    found = site.join(invitation(office))
    assert (found.name, found.server, found.generation) == ("Oslo", "Head office", 4)
    keys = site.config.backup_servers
    assert (keys.use_primary_svr, keys.primary_ip, keys.primary_port) == (True, "127.0.0.1", office.port)
    assert keys.request_updates and keys.request_backup
    [peer] = peers_of(site.config)
    assert office.server.branches.who(token_of(site.config, peer)).name == "Oslo"
    for path in (certificate_of(site.home, peer), site.home.certs / "peer.token"):
        assert path.stat().st_mode & 0o777 == 0o640  # certs is the manager's; the server is in its group
    assert keys.peer_ca.read_bytes() == office.home.ca_cert.read_bytes()
    assert site.home.ini.read_text().startswith(ini)
    assert State(site.home).of(peer).name == "Oslo"
    assert token_of(site.config, peer) not in repr(site.config)
    assert [path.name for path in (site.home.var / "central").iterdir()] == ["branch.json"]
    assert site.config.findings == ()


def test_a_line_works_once(office, site, tmp_path):
    invite = invitation(office)
    site.join(invite)
    with pytest.raises(NotJoined, match="used"):
        Site(tmp_path / "thief").join(invite)


def test_a_lost_answer_is_no_end(office, site):
    """The server has used the invitation up, and the branch never heard of it: its key may come again."""
    invite = invitation(office)
    site.join(invite)
    key = certificate_of(site.home, peers_of(site.config)[0]).read_text()
    begin = key.index("-----BEGIN PRIVATE KEY")
    file = _key_file(site.home, invite)
    file.write_text(key[begin:])
    old = token_of(site.config, peers_of(site.config)[0])
    site.join(invite)
    assert office.server.branches.who(token_of(site.config, peers_of(site.config)[0])).name == "Oslo"
    assert office.server.branches.who(old) is None


def test_another_authority_hears_no_secret(office, site, tmp_path):
    with Office(tmp_path / "between") as between:
        invite = invitation(office, port=between.port)
        with pytest.raises(NotJoined, match="another authority"):
            site.join(invite)
        assert between.events == []
    assert "PeerToken" not in site.home.ini.read_text()
    assert not (site.home.certs / "peer.token").exists()


def test_the_right_authority_at_another_address_is_not_believed(office, site):
    """The first question is answered by anybody who has the public certificate; the second is not."""
    certs.make_server(office.home, certs.Names(("elsewhere",), ("192.0.2.1",)))
    office.call(office.server.stop(0))
    office.call(office.server.start())
    with pytest.raises(NotJoined, match="not trusted"):
        site.join(invitation(office))


def test_addresses_are_tried_in_turn(office, site):
    found = site.join(invitation(office, addresses=("no-such-host.invalid", "127.0.0.1")))
    assert found.peer.host == "127.0.0.1"


def test_nobody_there(site):
    invite = Invite(("127.0.0.1",), 1, "00" * 32, "t" * 43)
    with pytest.raises(NotJoined) as told:
        site.join(invite)
    assert "127.0.0.1:1" in str(told.value) and "t" * 20 not in str(told.value)


def test_two_central_servers_have_their_own_tokens(office, site, tmp_path):
    with Office(tmp_path / "second") as second:
        site.join(invitation(second, "B"), "secondary")
        site.join(invitation(office, "A"))
        primary, secondary = peers_of(site.config)
        assert office.server.branches.who(token_of(site.config, primary)).name == "A"
        assert second.server.branches.who(token_of(site.config, secondary)).name == "B"
        site.join(invitation(office, "A2"))  # again: the other one is left alone
        assert second.server.branches.who(token_of(site.config, secondary)).name == "B"
        assert site.config.backup_servers.peer_ca.read_text().count("BEGIN CERTIFICATE") == 2
