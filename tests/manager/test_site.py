"""What all handlers share: the configuration as it is now, the inventory, the end."""

from __future__ import annotations

import asyncio

import pytest

from manager.site import Site
from mv_iptel.config import load_manager
from mv_iptel.config.editing import changed
from tests.manager.here import made


@pytest.fixture
def home(tmp_path):
    return made(tmp_path)


@pytest.fixture
def site(home):
    site = Site(load_manager(home))
    yield site
    assert asyncio.run(site.close())


def test_the_ini_as_it_is_now(site, home):
    assert site.config() is site.config() and site.broken == ()
    text = home.ini.read_text("utf-8")
    home.ini.write_text(changed(text, {("Settings", "StatusPort"): "7777"}), "utf-8")
    assert site.config().settings.status_port == 7777 and site.link.url == "http://127.0.0.1:7777"
    home.ini.write_text(changed(text, {("Settings", "StatusPort"): "many"}), "utf-8")
    assert site.config().settings.status_port == 7777 and "StatusPort" in site.broken[0]
    home.ini.unlink()
    assert site.config().settings.status_port == 6090 and site.broken == ()


def test_an_ini_that_cannot_be_read_at_the_start(site, home):
    home.ini.unlink()
    home.ini.mkdir()
    assert site.config().settings.status_port == 6090 and str(home.ini) in site.broken[0]


def test_the_inventory_follows_the_ini(site, home):
    first = site.inventory
    assert first is site.inventory and first.counts(0)["known"] == 0 if first.counts(0) else True
    text = changed(home.ini.read_text("utf-8"), {("Settings", "Database"): "var/other.db"})
    home.ini.write_text(text, "utf-8")
    assert site.inventory is not first and site.inventory.path.endswith("other.db")


def test_only_the_managers_user_reads_its_data(site, home):
    assert (home.manager / "data" / "manager.db").stat().st_mode & 0o077 == 0
