"""Packet images: cut once, shared, bounded; a file that changes is not sent on."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mv_iptel.library.contents import SMALL, Contents
from mv_iptel.tftp.image import RINGS, Image, Images, Ring, source_of
from mv_iptel.tftp.protocol import SourceLost, Terms, Transfer, to_netascii


@pytest.fixture
def opened(tmp_path):
    """`opened(content)`: its body, as the library lends it."""
    bodies, contents = [], Contents()

    def open_(content: bytes):
        path = tmp_path / f"file{len(bodies)}"
        path.write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        bodies.append(contents.add(fd, os.fstat(fd), path.name, str(path)))
        return bodies[-1]

    yield open_
    for body in bodies:
        body.close()


def whole(image: Image | Ring) -> bytes:
    content, index = b"", 0
    while True:
        segment = image.segment(index)
        content += b"".join(packet[4:] for packet in segment.packets)
        if segment.final:
            return content
        index += 1


@pytest.mark.parametrize("size", [0, 511, 512, 32768, SMALL, SMALL + 1, 3 * SMALL])
@pytest.mark.parametrize("blksize", [8, 512, 1428, 65464])
def test_an_image_is_the_file(opened, size, blksize):
    content = random.Random(size).randbytes(size)
    body = opened(content)
    assert (body.data is None) is (size > SMALL)
    assert whole(Image(Images(), body, blksize, "octet")) == content


@given(st.integers(0, 90_000), st.integers(0, 1 << 30), st.sampled_from([8, 100, 512, 1428]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_netascii_image_is_the_translated_file(opened, size, seed, blksize):
    rng = random.Random(seed)
    content = bytes(rng.choice(b"ab\r\n\0") for _ in range(size))
    body, images = opened(content), Images()
    first, second = Image(images, body, blksize, "netascii"), Image(images, body, blksize, "netascii")
    assert whole(first) == to_netascii(content)
    images.clear()
    assert whole(first) == to_netascii(content)  # its marks say where each segment starts
    assert whole(second) == to_netascii(content)  # from segments that another cut


def test_segments_are_shared(opened):
    body, images = opened(bytes(100_000)), Images()
    one, two = (Image(images, body, 512, "octet") for _ in range(2))
    assert one.segment(1) is two.segment(1)
    assert one.segment(1) is not Image(images, body, 1024, "octet").segment(1)
    one.close()
    assert two.segment(0) is not two.segment(0)  # nobody else wants it now
    two.close()


def test_memory_is_bounded_and_given_back(opened):
    body, images = opened(bytes(2 << 20)), Images(kept=200_000)
    image, _ = (Image(images, body, 512, "octet") for _ in range(2))
    first = image.segment(0)
    for index in range(64):
        image.segment(index)
        assert images.octets <= 200_000
    assert images.octets > 100_000
    assert image.segment(0) is not first
    assert image.segment(0).packets == first.packets
    images.clear()
    assert images.octets == 0


@pytest.mark.parametrize("size", [SMALL + 1, 3 * SMALL, 3 * SMALL + 77])
@pytest.mark.parametrize(
    ("blksize", "window"), [(512, 2), (512, 64), (512, 130), (1428, 16), (8192, 5), (65464, 3)]
)
def test_a_ring_is_the_file_and_the_same_packets(opened, size, blksize, window):
    content = random.Random(size).randbytes(size)
    body, images = opened(content), Images()
    ring, image = Ring(images, body, blksize, window), Image(images, body, blksize, "octet")
    index = 0
    while True:
        ours, plain = ring.segment(index), image.segment(index)
        assert [bytes(packet) for packet in ours.packets] == plain.packets
        assert ours.final is plain.final
        if ours.final:
            break
        index += 1
    assert whole(ring) == content


@pytest.mark.parametrize(("blksize", "window"), [(512, 2), (512, 64), (1428, 16), (1428, 37), (8192, 5)])
def test_a_ring_keeps_what_a_window_needs(opened, blksize, window):
    """All packets of a window stay as they are until the next window is asked for, wherever it begins."""
    content = random.Random(1).randbytes(600_000)
    body = opened(content)
    sending = Transfer(Ring(Images(), body, blksize, window), Terms(blksize, window, oack=b"\0\6x\0"), 0.0)
    sending.to_send()
    got, block, rng = b"", 0, random.Random(2)
    while not sending.outcome:
        assert sending.receive(b"\0\4" + (block & 0xFFFF).to_bytes(2, "big"), 0.0)
        taken = rng.randint(1, window)  # the rest of the window is lost
        for packet in sending.to_send()[:taken]:
            block += 1
            assert bytes(packet[2:4]) == (block & 0xFFFF).to_bytes(2, "big")
            got += packet[4:]
    assert got == content


def test_rings_are_few_and_small(opened):
    body, small, images = opened(bytes(SMALL + 1)), opened(b"x"), Images()
    window = Terms(1428, 16)
    made = [source_of(images, body, window, "octet") for _ in range(RINGS + 1)]
    assert [type(one) for one in made] == [Ring] * RINGS + [Image]
    for one in made:
        one.close()
    assert images.rings == 0
    for other, terms, mode in (
        (body, Terms(65464, 64), "octet"),
        (body, Terms(), "octet"),
        (body, window, "netascii"),
        (small, window, "octet"),
    ):
        assert type(source_of(images, other, terms, mode)) is Image


@pytest.mark.parametrize("ring", [False, True])
def test_a_changed_file_is_lost(opened, ring):
    body = opened(bytes(200_000))
    image = Ring(Images(), body, 512, 4) if ring else Image(Images(), body, 512, "octet")
    image.segment(0)
    with open(body.path, "r+b") as file:
        file.write(b"x")
    with pytest.raises(SourceLost, match="changed"):
        image.segment(1)
    os.truncate(body.path, 10)
    with pytest.raises(SourceLost, match="changed"):
        image.segment(2)
