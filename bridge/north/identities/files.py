"""Keys and certificates in files, which may change while the bridge runs."""

import csv
from pathlib import Path
from urllib.parse import quote

from bridge.errors import ConfigurationError
from bridge.north.identities.contract import EndpointNames
from bridge.north.identities.psk import check_key, check_template, fill, identity_of
from bridge.tls.credentials import CertificateKey, PreSharedKey

COLUMNS = ("endpoint", "identity", "key")
_LARGEST = 64 * 1024 * 1024  # bytes of a table: about half a million endpoints
_LARGEST_PEM = 256 * 1024  # bytes of one file of certificates or of a key


class KeyTable:
    """`KeySource`: a CSV file `endpoint,identity,key`, keys in hexadecimal; an empty identity is made by the template.

    The file is read again when it has changed.
    """

    def __init__(self, identity: str, path: Path) -> None:
        self._identity = check_template(identity)
        self._path = path
        self._read: tuple[int, int] | None = None  # modification time and size of the file as it was read
        self._rows: dict[str, tuple[str, str]] = {}

    def credentials(self, who: EndpointNames) -> PreSharedKey:
        """Return the credentials in an endpoint's row."""
        self.check()
        row = self._rows.get(who.endpoint)
        if row is None:
            raise ConfigurationError(f"key_table {self._path} has no row for endpoint {who.endpoint!r}; add one")
        identity, key = row
        where = f"key_table {self._path}: the key of endpoint {who.endpoint!r}"
        return PreSharedKey(identity.encode() if identity else identity_of(self._identity, who), check_key(key, where))

    def check(self) -> None:
        """Read the file again, if it changed."""
        try:
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_size) == self._read:
                return
            rows = _rows(self._path, _text(self._path, _LARGEST, "key_table"))
        except OSError as error:
            raise ConfigurationError(f"key_table {self._path} cannot be read: {error.strerror}") from None
        self._rows = rows
        self._read = stat.st_mtime_ns, stat.st_size


def _rows(path: Path, text: str) -> dict[str, tuple[str, str]]:
    lines = csv.reader(text.splitlines(), strict=True)
    rows: dict[str, tuple[str, str]] = {}
    try:
        header = tuple(next(lines, ()))
        if header != COLUMNS:
            raise ConfigurationError(f"key_table {path} does not begin with the line {','.join(COLUMNS)}")
        for number, row in enumerate(lines, 2):
            if not row:
                continue
            if len(row) != len(COLUMNS):
                raise ConfigurationError(f"key_table {path} line {number} does not have {len(COLUMNS)} fields")
            endpoint, identity, key = row
            if endpoint in rows:
                raise ConfigurationError(f"key_table {path} line {number} has endpoint {endpoint!r} again")
            rows[endpoint] = identity, key
    except csv.Error as error:
        raise ConfigurationError(f"key_table {path} is not CSV: {error}") from None
    return rows


class CertificateFiles:
    """`KeySource`: a certificate and a key for each endpoint, in files named by templates.

    In a path an endpoint's names are percent-encoded, so that none can lead to another folder.
    """

    def __init__(self, directory: Path, certificate: str, private_key: str) -> None:
        self._directory = directory
        self._certificate = check_template(certificate)
        self._key = check_template(private_key)

    def credentials(self, who: EndpointNames) -> CertificateKey:
        """Return the credentials in an endpoint's files."""
        safe = EndpointNames(*(quote(part, safe="") for part in (who.endpoint, who.network, who.device)))
        chain, key = (self._of(template, safe) for template in (self._certificate, self._key))
        return CertificateKey(chain.encode(), key.encode())

    def check(self) -> None:
        """Read the files, if they are the same for all endpoints."""
        for template in (self._certificate, self._key):
            if "{" not in template:
                self._of(template, EndpointNames("", "", ""))

    def _of(self, template: str, who: EndpointNames) -> str:
        setting = "certificate" if template is self._certificate else "private_key"
        return read_pem(self._directory / fill(template, who), setting)


def read_pem(path: Path, setting: str) -> str:
    """Return the text of a PEM file. Raises ConfigurationError."""
    return _text(path, _LARGEST_PEM, setting)


def _text(path: Path, largest: int, setting: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise ConfigurationError(f"{setting} {path} cannot be read: {error.strerror}") from None
    if len(data) > largest:
        raise ConfigurationError(f"{setting} {path} is larger than {largest} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{setting} {path} is not text") from None
