"""Settings that name PEM files. A reload sees a changed content under the same name, since each is marked as a file."""

from typing import Annotated

from msgspec import Meta

CaBundle = Annotated[
    str, Meta(description="PEM file of the authorities to trust; empty: the system's", extra={"file": True})
]
ClientCertificate = Annotated[
    str, Meta(description="PEM file of the client certificate for mutual TLS", extra={"file": True})
]
CertificateKey = Annotated[
    str, Meta(description="PEM file of its key; empty: in the certificate's file", extra={"file": True})
]
