"""The Secure Component object, 26252, of this project: emulates a chip that stores keys and object instances.

LwM2M 1.1 mentions such an object and defines none. The private key never leaves it: a server that wants to authenticate
it reads Certificate, writes a Challenge, and verifies the Response, an ECDSA signature (P-256, SHA-256) over the
challenge. Stored Instances links the object instances that the component holds: who owns an instance, by object 2, adds
and removes its link, and who may read this object sees them all. The instances are reached by the same operations
wherever they are stored.
"""

import datetime as dt
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mock_network.device.access import AccessControl
from mock_network.device.operations import Writing
from mock_network.device.refusal import BAD_REQUEST, UNAUTHORIZED, OperationError
from mock_network.device.tree import ObjectTree
from mock_network.lwm2m.definitions import SECURE_COMPONENT
from mock_network.lwm2m.paths import RESOURCE_LEVEL, Path, covers
from mock_network.lwm2m.values import ObjectLink, Value

_IDENTITY, _CERTIFICATE, _CHALLENGE, _RESPONSE, _STORED = range(5)
_INSTANCE: Path = (SECURE_COMPONENT, 0)
STORED_INSTANCES: Path = (*_INSTANCE, _STORED)
MIN_CHALLENGE = 16  # bytes: a shorter one could be asked for twice
_VALID_FROM, _VALID_UNTIL = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2050, 1, 1, tzinfo=dt.UTC)


class SecureComponent:
    """The component of instance 0 of a tree: the same Identity has the same key, and so the same Certificate."""

    def __init__(self, tree: ObjectTree, access: AccessControl) -> None:
        self._tree, self._access = tree, access
        identity = str(tree.get((*_INSTANCE, _IDENTITY)))
        secret = int.from_bytes(hashlib.sha256(f"emulated secure component {identity}".encode()).digest(), "big")
        self._key = ec.derive_private_key(secret >> 1, ec.SECP256R1())  # a number below the order of the curve
        tree.set((*_INSTANCE, _CERTIFICATE), _certificate(self._key, identity))

    def check(self, writing: Writing) -> None:
        """Raise OperationError where a server writes what this object, or the owner of an instance, does not allow."""
        for record in writing.records:
            short = isinstance(record.value, bytes) and len(record.value) < MIN_CHALLENGE
            if record.path == (*_INSTANCE, _CHALLENGE) and short:
                raise OperationError(BAD_REQUEST, f"a challenge has at least {MIN_CHALLENGE} bytes")
        before = self._tree.get_all(STORED_INSTANCES)
        after = self._links_after(writing, before)
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                for link in (before.get(key), after.get(key)):
                    self._check_link(writing.server, link)

    @staticmethod
    def _links_after(writing: Writing, before: dict[int, Value]) -> dict[int, Value | None]:
        after: dict[int, Value | None] = dict(before)
        if writing.replace and covers(writing.path, STORED_INSTANCES):
            after.clear()
        if writing.delete and writing.path[:RESOURCE_LEVEL] == STORED_INSTANCES:
            after.pop(writing.path[RESOURCE_LEVEL], None)
        named = (record for record in writing.records if record.path[:RESOURCE_LEVEL] == STORED_INSTANCES)
        return after | {record.path[RESOURCE_LEVEL]: record.value for record in named}

    def _check_link(self, server: int, link: Value | None) -> None:
        if link is None:
            return
        if not isinstance(link, ObjectLink) or tuple(link) not in self._tree.instances():
            raise OperationError(BAD_REQUEST, f"{link!s} is no object instance of this device")
        if self._access.active and self._access.owner(tuple(link)) != server:
            raise OperationError(UNAUTHORIZED, f"server {server} does not own {link!s}")

    def written(self, path: Path) -> None:
        """Take note that something was written at `path`: a challenge is answered."""
        if path == (*_INSTANCE, _CHALLENGE):
            challenge = self._tree.get(path)
            if isinstance(challenge, bytes):
                self._tree.set((*_INSTANCE, _RESPONSE), self._key.sign(challenge, ec.ECDSA(hashes.SHA256())))


def _certificate(key: ec.EllipticCurvePrivateKey, identity: str) -> bytes:
    """Return a self-signed certificate in DER; its serial number follows from the key, so it is the same each time."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity[:64])])
    public = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(hashlib.sha256(public).digest()[:16], "big") >> 1)
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
