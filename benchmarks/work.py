"""Work beside the server: inflates and hashes MIB after MIB at nice 19, as an unpacked firmware zip would."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import zlib

MIB = 1024 * 1024


def main() -> None:
    """Argument: MiB. Says `ready`, works that much, again and again until SIGTERM, then says how much."""
    wanted = int(sys.argv[1])
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    # Firmware is about half compressible.
    chance = random.Random(19)
    part = b"".join(chance.randbytes(2048) + bytes(2048) for _ in range(1024))
    packed = zlib.compress(part, 6)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    done = 0
    digest = hashlib.sha256()
    print("ready", flush=True)
    while not ended:
        for _ in range(wanted * MIB // len(part)):
            digest.update(zlib.decompress(packed))
            done += len(part)
            if ended:
                break
    print(done // MIB, digest.hexdigest()[:16], flush=True)


if __name__ == "__main__":
    main()
