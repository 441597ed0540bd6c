"""The files that every server serves, and the certificate that the TLS ones share."""

from __future__ import annotations

import datetime
import ipaddress
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KIB, MIB = 1024, 1024 * 1024
SETTINGS = "46xxsettings.txt"  # 4 KiB, the name that phones ask for
FIRMWARE = "bench-5m.bin"
BOOT, LARGE, SMALL = "bench-1m.bin", "bench-8m.bin", "bench-64k.bin"


@dataclass(frozen=True)
class Files:
    """`root` holds the content; certificate and key are PEM files outside it."""

    root: Path
    certificate: Path
    key: Path

    def pair(self, name: str, path: bool = False) -> str:
        """How the generators are told what to ask for and what to compare it with."""
        return f"{'/' if path else ''}{name}={self.root / name}"

    def link_into(self, folder: Path) -> None:
        """The same files, the same pages in the kernel's cache, for a server that wants them elsewhere."""
        for origin in self.root.iterdir():
            target = folder / origin.name
            target.unlink(missing_ok=True)
            try:
                os.link(origin, target)
            except OSError:
                shutil.copy2(origin, target)


def make(folder: Path) -> Files:
    """Made-up content from a fixed seed, so that a repeated run measures the same bytes."""
    root = folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    chance = random.Random(46)
    _write(root / SETTINGS, _settings(4 * KIB))
    for name, size in ((FIRMWARE, 5 * MIB), (BOOT, MIB), (LARGE, 8 * MIB), (SMALL, 64 * KIB)):
        _write(root / name, chance.randbytes(size))
    for path in (folder, root):
        path.chmod(0o755)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _certificate(certificate, key)
    return Files(root, certificate, key)


def _write(path: Path, content: bytes) -> None:
    """Never in place: somebody may still serve or map the file that is there."""
    if path.exists() and path.read_bytes() == content:
        return
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(content)
    aside.replace(path)


def _settings(size: int) -> bytes:
    lines = b"".join(b'## line %d\nSET PHNLABEL%03d "line %d"\n' % (n, n, n) for n in range(size // 20))
    return lines[: size - 1] + b"\n"


def _certificate(certificate: Path, key: Path) -> None:
    """Self-signed RSA-2048 for localhost; the load generator trusts nothing else."""
    private = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    key.chmod(0o600)
