"""What the process looks at before it listens; where it says that it is. The rest: tests/clients."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from manager import serving
from mv_iptel.config import ConfigError, load_manager
from tests.manager.here import made


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return load_manager(made(tmp_path_factory.mktemp("home")))


def with_keys(config, **keys):
    return replace(config, settings=replace(config.settings, **keys))


@pytest.mark.parametrize(("address", "place"), [
    ("127.0.0.1", "https://localhost:7/"), ("0.0.0.0", "https://localhost:7/"), ("::", "https://localhost:7/"),
    ("::1", "https://[::1]:7/"), ("192.0.2.1", "https://192.0.2.1:7/"),
])  # fmt: skip
def test_where_it_is(config, address, place):
    assert serving.address(with_keys(config, bind_address=address), 7) == place
    assert serving.address(config) == "https://localhost:6092/"
    assert serving.address(with_keys(config, use_https=False), 7) == "http://localhost:7/"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_without_tls_on_this_host(config, address):
    serving.allowed(with_keys(config, use_https=False, bind_address=address))
    serving.allowed(with_keys(config, bind_address="0.0.0.0"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "10.0.0.1"])
def test_no_password_crosses_a_network_in_the_clear(config, address):
    with pytest.raises(ConfigError) as told:
        serving.allowed(with_keys(config, use_https=False, bind_address=address))
    (finding,) = told.value.findings
    assert finding.key == "UseHTTPS" and finding.line and address in finding.text


def test_a_port_that_is_taken(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} is taken by .* \(process \d+\); end it") as told:
            serving.listen(with_keys(config, manager_port=port))
        assert str(config.home.manager_ini) in str(told.value)


def test_an_address_that_is_not_this_hosts(config):
    with pytest.raises(OSError, match=r"BindAddress=192\.0\.2\.1 is no address of this host"):
        serving.listen(with_keys(config, bind_address="192.0.2.1", manager_port=0))


def test_any_free_port(config):
    with serving.listen(with_keys(config, manager_port=0)) as sock:
        assert sock.getsockname()[1]
