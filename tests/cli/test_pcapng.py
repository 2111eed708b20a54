"""What `trace --pcap` writes is pcapng by its specification, and Wireshark takes it as CoAP."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge.cli.pcapng import COAP, COAPS, DEVICE, LARGEST, SOUTH, Hop, PcapngWriter, datagram
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from tests.cli.pcapng_reading import read

READ = frame(Type.CON, Code.GET, 7, b"\x07", b"\xb1\x33")
TSHARK = shutil.which("tshark")


def test_each_hop_is_an_interface_and_each_message_a_packet_on_it() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.packet(1_800_000_000.25, Hop.SERVER, to_bridge=True, port=COAP, message=READ, comment="lab")
    writer.packet(1_800_000_001.0, Hop.DEVICE, to_bridge=False, port=COAPS, message=b"odd", comment="")
    section = read(file.getvalue())
    assert section.linktypes == [101, 101]
    assert section.names == ["server hop", "device hop"]
    first, second = section.packets
    assert (first.interface, first.at, first.payload, first.comment) == (0, 1_800_000_000.25, READ, "lab")
    assert (first.source, first.destination) == (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
    assert (first.ports, second.ports) == ((5683, 5683), (5684, 5684))
    assert (second.interface, second.at, second.payload, second.comment) == (1, 1_800_000_001.0, b"odd", "")
    assert (second.source, second.destination) == (bytes((198, 51, 100, 1)), bytes((198, 51, 100, 2)))


@pytest.mark.parametrize("size", range(9))
def test_every_length_is_padded_and_summed(size: int) -> None:
    file = io.BytesIO()
    message = bytes(range(250, 250 + 6))[:size] + bytes(max(0, size - 6))
    PcapngWriter(file).packet(1.0, Hop.DEVICE, to_bridge=True, port=COAP, message=message, comment="c" * size)
    (packet,) = read(file.getvalue()).packets
    assert (packet.payload, packet.comment) == (message, "c" * size)


def test_a_checksum_that_would_be_0_is_written_as_ones() -> None:
    sums = {datagram(SOUTH, DEVICE, COAP, low.to_bytes(2, "big"))[26:28] for low in range(0x10000)}
    assert b"\xff\xff" in sums
    assert b"\0\0" not in sums  # in UDP that says that there is no checksum


def test_a_message_that_no_datagram_holds_is_cut_and_says_so() -> None:
    file = io.BytesIO()
    PcapngWriter(file).packet(1.0, Hop.SERVER, to_bridge=True, port=COAP, message=bytes(LARGEST + 5), comment="")
    (packet,) = read(file.getvalue()).packets
    assert (len(packet.payload), packet.original) == (LARGEST, LARGEST + 5 + 28)


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
def test_wireshark_takes_it_as_coap(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    with path.open("wb") as file:
        PcapngWriter(file).packet(1.0, Hop.SERVER, to_bridge=True, port=COAP, message=READ, comment="lab")
    fields = "frame.protocols", "coap.mid", "coap.opt.uri_path", "udp.checksum.status", "ip.checksum.status"
    command = [str(TSHARK), "-r", str(path), "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command += ["-T", "fields", *(part for field in fields for part in ("-e", field))]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert shown.split("\t") == ["raw:ip:udp:coap", "7", "3", "1", "1\n"]
