"""The certificate that the page shows, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from streamderain.errors import ConfigError

logger = logging.getLogger(__name__)


class Certificate:
    """PEM files: the certificate, with those that it rests on behind it, and its `key`, which may stand in the same
    file.

    Raises ConfigError where they cannot be read or do not belong together.
    """

    def __init__(self, chain: Path, key: Path | None = None) -> None:
        self._chain, self._key = chain, key or chain
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._read_at = self._changed_at()
        self._read()

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection uses. Files that were replaced, as they are each few weeks, are read again; if they
        cannot be, those before hold, and the log says so.
        """
        try:
            changed_at = self._changed_at()
            if changed_at != self._read_at:
                self._read_at = changed_at
                self._read()
                logger.info("%s was read again", self._chain)
        except ConfigError as error:
            logger.warning("%s; the one before goes on", error)
        return self._context

    def _changed_at(self) -> tuple[int, int]:
        try:
            return self._chain.stat().st_mtime_ns, self._key.stat().st_mtime_ns
        except OSError as error:
            raise ConfigError(f"the certificate cannot be read: {error.strerror}: {error.filename}") from None

    def _read(self) -> None:
        try:
            # A key with a password would be asked for on the terminal.
            self._context.load_cert_chain(self._chain, self._key, password=_no_password)
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"{self._chain} and {self._key} are no certificate and its key ({why}); expected PEM, no password"
            ) from None


def _no_password() -> str:
    raise ValueError("the key has a password")
