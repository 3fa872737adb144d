# SPDX-License-Identifier: Apache-2.0
"""This machine's token, key and certificate: created at the first start, readable by its user only."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ptr_models.common.errors import PtrError

LIFETIME = timedelta(days=397)  # the longest that every browser accepts
RENEWAL = timedelta(days=30)  # a certificate is renewed this long before it expires
TOKEN_BYTES = 24
USABLE_TOKEN = re.compile(r"[A-Za-z0-9_-]{24,200}")


class CredentialsError(PtrError):
    """The token or the certificate cannot be read or written."""


@dataclass(frozen=True)
class Credentials:
    """Credentials for access from other machines.

    Attributes:
        token: must be part of the page's address.
        certificate, key: PEM files.
        fingerprint: SHA-256 of the certificate, as browsers show it.
    """

    token: str
    certificate: Path
    key: Path
    fingerprint: str

    def tls(self) -> ssl.SSLContext:
        """The server's side of TLS 1.2 or newer."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def default_folder() -> Path:
    """Folder of the credentials: `$XDG_CONFIG_HOME/ptr/console`, by default `~/.config/ptr/console`."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "ptr" / "console"


def obtain(folder: Path, names: Sequence[str]) -> Credentials:
    """Read token and certificate; create what is missing, about to expire or made for other names.

    Args:
        folder: created if absent, with access for its owner only.
        names: host names and IP addresses that the certificate must cover.
    Raises:
        CredentialsError: a file can't be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = _token(folder / "token")
        certificate = _certificate(folder / "certificate.pem", folder / "key.pem", names)
    except OSError as error:
        raise CredentialsError(
            f"token and certificate cannot be kept in {folder} ({error.strerror}); make it writable"
        ) from error
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return Credentials(token, folder / "certificate.pem", folder / "key.pem", fingerprint)


def _token(path: Path) -> str:
    if path.exists():
        _require_private(path)
        token = path.read_text(encoding="utf-8").strip()
        if USABLE_TOKEN.fullmatch(token):
            return token
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _write_private(path, f"{token}\n".encode())
    return token


def _certificate(path: Path, key_path: Path, names: Sequence[str]) -> x509.Certificate:
    if path.exists() and key_path.exists():
        _require_private(key_path)
        kept = _usable(path.read_bytes(), key_path.read_bytes(), names)
        if kept is not None:
            return kept
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, names)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(key_path, private)
    _write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def _usable(certificate: bytes, key: bytes, names: Sequence[str]) -> x509.Certificate | None:
    """The certificate, if it fits its key, covers all names and is not about to expire; otherwise None."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
        held = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return None
    fits = parsed.public_key() == private.public_key() and {_name(name) for name in names} <= set(held)
    return parsed if fits and parsed.not_valid_after_utc - datetime.now(timezone.utc) > RENEWAL else None


def _self_signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PTR operator's console")])
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of headsets are not exact
        .not_valid_after(now - timedelta(days=1) + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _require_private(path: Path) -> None:
    """Reject a secret that another user can read or has written.

    Raises:
        CredentialsError: it belongs to another user, or its permissions allow others to read it.
    """
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise CredentialsError(f"{path} belongs to another user (uid {status.st_uid}); delete it and restart")
    if status.st_mode & 0o077:
        raise CredentialsError(
            f"{path} can be read by others (mode {status.st_mode & 0o777:04o}), who may know the secret; delete it "
            "and restart to create a new one"
        )


def keep_address(folder: Path, address: str, robot: str = "") -> Path:
    """Write the address with its token to a file that only its user can read; returns the file.

    Args:
        robot: namespace; each robot has its own file.
    Raises:
        CredentialsError: it can't be written.
    """
    path = folder / "-".join(["address", *filter(None, robot.split("/"))])
    try:
        _write_private(path, f"{address}\n".encode())
    except OSError as error:
        raise CredentialsError(f"{path} cannot be written ({error.strerror}); make it writable") from error
    return path


def _write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically with one that only its owner can read."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
