"""The page by HTTPS, with real certificates made here."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streamderain.errors import ConfigError
from streamderain.preview.certificate import Certificate
from streamderain.preview.server import PreviewServer

NOW = datetime.datetime.now(datetime.UTC)


def made(folder: Path, password: bytes | None = None, number: int = 1) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a page")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), number, NOW, NOW + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    guarded = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, guarded))
    return files


def ask(url: str, certificate: Path) -> tuple[int, str]:
    """Status and cookie of the page, by somebody who trusts that certificate alone."""
    context = ssl.create_default_context(cafile=certificate)

    async def run() -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as reply:
            return reply.status, reply.headers.get("Set-Cookie", "")

    return asyncio.run(run())


def shown(url: str) -> int:
    """The number of the certificate that is shown."""
    address = urlsplit(url)
    pem = ssl.get_server_certificate((str(address.hostname), address.port or 0), timeout=60)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_the_page_speaks_https_and_nothing_else(tmp_path: Path) -> None:
    cert, key = made(tmp_path)
    with PreviewServer(port=0, token="for us", certificate=Certificate(cert, key)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        status, cookie = ask(server.url + "?token=for us", cert)
        assert status == 200
        assert "Secure" in cookie
        with pytest.raises(aiohttp.ClientError):
            ask(server.url.replace("https", "http"), cert)


def test_who_never_greets_keeps_nobody_waiting(tmp_path: Path) -> None:
    cert, key = made(tmp_path)
    with PreviewServer(port=0, certificate=Certificate(cert, key)) as server:
        address = urlsplit(server.url)
        silent = [socket.create_connection((address.hostname, address.port), timeout=60) for _ in range(20)]  # type: ignore[arg-type]
        try:
            assert ask(server.url, cert)[0] == 200
        finally:
            for each in silent:
                each.close()


def test_a_certificate_that_is_renewed_is_shown_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = made(tmp_path)
    with PreviewServer(port=0, certificate=Certificate(cert, key)) as server:
        assert shown(server.url) == 1
        made(tmp_path, number=2)
        os.utime(cert, ns=(1, 1))
        assert shown(server.url) == 2
        cert.write_text("half")
        assert shown(server.url) == 2
        assert "the one before goes on" in caplog.text
        cert.unlink()
        assert shown(server.url) == 2


def test_what_is_no_certificate_is_refused_in_one_line(tmp_path: Path) -> None:
    cert, key = made(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory: .*none\.pem"):
        Certificate(tmp_path / "none.pem")
    with pytest.raises(ConfigError, match="are no certificate and its key"):
        Certificate(cert)
    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    Certificate(both)
    made(tmp_path, password=b"secret")
    with pytest.raises(ConfigError, match="expected PEM, no password"):
        Certificate(cert, key)
