"""Every program outside Python that tests use, with the Debian package that has it."""

import os
import shutil
from dataclasses import dataclass

_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"  # where some programs are that a user's PATH does not name


@dataclass(frozen=True, slots=True)
class Program:
    """A program, the Debian package that has it, and what the tests do with it."""

    name: str
    package: str
    purpose: str


PROGRAMS = {
    program.name: program
    for program in (
        Program("java", "openjdk-17-jre-headless", "runs Eclipse Leshan, a real LwM2M server"),
        Program("javac", "openjdk-17-jdk-headless", "builds the control port of that server"),
        Program("mvn", "maven", "fetches Leshan"),
        Program("node", "nodejs", "runs lora-packet, a second implementation of LoRaWAN frames, and an LwM2M server"),
        Program("npm", "npm", "fetches lora-packet and lwm2m-node-lib"),
        Program("mosquitto", "mosquitto", "is the MQTT broker"),
        Program("strace", "strace", "shows that a sync to the disk comes before an acknowledgement"),
        Program("openssl", "openssl", "makes certificates"),
        Program("coap-server-openssl", "libcoap3-bin", "is a real CoAP server over DTLS and TLS, on OpenSSL"),
        Program("coap-server-gnutls", "libcoap3-bin", "is the same on GnuTLS"),
        Program(
            "coap-client-notls", "libcoap3-bin", "is a plain CoAP client: a device's application, and a server's caller"
        ),
        Program("coap-server-notls", "libcoap3-bin", "is a plain CoAP server: a device's application"),
        Program("coap-rd-notls", "libcoap3-bin", "is a plain CoAP resource directory, with which devices register"),
        Program("softhsm2-util", "softhsm2", "keeps a master key in a token"),
        Program("chromium", "chromium", "is the browser that looks at the dashboard"),
        Program("prometheus", "prometheus", "scrapes a running bridge"),
        Program("curl", "curl", "types what the documents say"),
        Program("ip", "iproute2", "makes routes and network namespaces, which need root, too"),
        Program("bird", "bird2", "announces addresses of the bridge by BGP"),
        Program("shellcheck", "shellcheck", "reads the scripts that move addresses"),
        Program("pg_ctlcluster", "postgresql", "comes with PostgreSQL, the database of several nodes"),
        Program("unshare", "util-linux", "gives one test a small volume of its own"),
        Program("git", "git", "clones the project for the test of a fresh machine"),
        Program("make", "make", "runs the targets"),
    )
}


def program_is_missing(name: str) -> str | None:
    """Return why a program cannot be used, with the cure; None if it is there. KeyError for one that is not listed."""
    program = PROGRAMS[name]
    if shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), _SYSTEM))):
        return None
    return f"{name} is not installed (Debian: apt-get install {program.package})"
