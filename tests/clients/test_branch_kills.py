"""A branch that is killed at any instant: what it serves is one whole generation, nothing stored is lost."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mv_iptel.firmware.publishing import Publisher
from mv_iptel.userdata.names import Kept
from mv_iptel.userdata.store import Origin, keep
from tests.central.branch import Branch, at_the_centre, until
from tests.central.office import Office

PROGRAM = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.central.branch import Branch
with Branch(Path(sys.argv[1]), None) as branch:
    print("up", flush=True)
    threading.Event().wait(60)
"""


def served(site: Branch) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(site.home.http_data.glob("fw*.bin")))


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_at_random_instants(tmp_path, count):
    chance, kills = random.Random(5), count("central-kills") // 2
    with Office(tmp_path / "office") as office:
        site = Branch(tmp_path / "oslo", office)
        generations = {}
        for number in range(1, kills + 1):
            # Two files of one generation, which tell each other's number.
            contents = tuple(bytes([number]) * (300_000 + at) for at in range(2))
            office.publish(number, *contents)
            generations[number] = contents
            name = f"{4000 + number}_96xxdata.txt"
            kept = Kept(str(4000 + number), "96xx")
            assert keep(site.config, kept, b"%d" % number, Origin(how="none")).name == name
            command = [sys.executable, "-c", PROGRAM, str(site.home.root), str(Path(__file__).parents[2])]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
                assert running.stdout.readline() == b"up\n"
                try:
                    running.wait(chance.uniform(0.3, 1.2))
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
            Publisher(site.config, site.events.append).recover()
            assert served(site) in ((), *generations.values())
        with site as branch:
            # On a busy machine each may have been killed before it had published anything.
            until(lambda: served(branch) == contents)
            for number in range(1, kills + 1):
                name = f"{4000 + number}_96xxdata.txt"
                until(lambda name=name, number=number: at_the_centre(office, name) == b"%d" % number)
            until(lambda: branch.client.status()["queue"] == 0)
        for contents in generations.values():
            for data in contents:  # each came once, or is on its way out with its generation
                sha = hashlib.sha256(data).hexdigest()
                assert not (branch.home.var / "releases" / "arriving-content" / f"{sha}.part").exists()
