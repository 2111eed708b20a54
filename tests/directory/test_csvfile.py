"""Import and export: every line is checked, each wrong one is named, nothing is taken unless all are good."""

import io

import pytest

from bridge.directory import import_csv, open_csv
from bridge.directory.csvfile import Fault
from bridge.errors import ConfigurationError

HEADER = "endpoint,network,address,servers,profile,default_ttl,object_list\n"
GOOD = (
    HEADER + 'ep1,nidd,D1@x.org,leshan;coiote,transparent,3600,"</1/0>,</3/0>;ver=1.1"\n'
    ",lora,70B3D57ED005A1B2,,,,\n"
    "ep3,nidd,d3@x.org,coiote leshan,,,\n"
)


def lines(*more, header=HEADER):
    return io.StringIO(header + "".join(line + "\n" for line in more))


async def test_good_lines_are_taken(directory):
    imported = await import_csv(directory, io.StringIO(GOOD))

    assert (imported.added, imported.faults) == (3, [])
    first = await directory.by_name("ep1")
    assert (first.device, first.servers, first.profile) == ("d1@x.org", ("leshan", "coiote"), "transparent")
    assert (first.default_ttl, first.object_list) == (3600.0, "</1/0>,</3/0>;ver=1.1")
    assert (await directory.by_name("urn:dev:mac:70b3d57ed005a1b2")).servers == ("leshan",)
    assert (await directory.by_name("ep3")).servers == ("coiote", "leshan")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ep,nidd,d@x.org,,,", "6 fields instead of 7"),
        ("ep,nidd,d@x.org,,,,</1/0>,</3/0>", "8 fields instead of 7; a field with commas needs quotes"),
        ("ep,,d@x.org,,,,", "network is empty"),
        ("ep,nidd,,,,,", "address is empty"),
        ("ep,other,d@x.org,,,,", "network 'other' is not configured"),
        ("ep,nidd,nobody,,,,", "no External Identifier"),
        (",nidd,d@x.org,,,,", "no endpoint name"),
        ("e\x00p,nidd,d@x.org,,,,", "cannot be printed"),
        ("ep,nidd,d@x.org,unknown,,,", "server 'unknown' is not configured"),
        ("ep,nidd,d@x.org,,unknown,,", "profile 'unknown' is not configured"),
        ("ep,nidd,d@x.org,,,soon,", "default_ttl 'soon' is not a number"),
        ("ep,nidd,d@x.org,,,-1,", "default_ttl"),
        ("ep,nidd,d@x.org,,,inf,", "default_ttl"),
        ("ep,nidd,d@x.org,,,,1/0", "CoRE Link Format"),
        ('ep,nidd,d@x.org,,,,"</1>" x', "not CSV"),
        ("good,nidd,d@x.org,,,,", "endpoint 'good' is in line 2 already"),
        ("ep,nidd,GOOD@x.org,,,,", "device 'good@x.org' is in line 2 already"),
        ("there,nidd,d@x.org,,,,", "endpoint 'there' exists with another device"),
        ("there,nidd,there@x.org,,,5,", "endpoint 'there' exists with another default_ttl"),
        ("ep,nidd,there@x.org,,,,", "is endpoint 'there' already"),
    ],
)
async def test_a_wrong_line_is_named_and_keeps_all_out_unless_partial(directory, draft, line, reason):
    await directory.add(draft(name="there", device="there@x.org"))
    text = ("good,nidd,good@x.org,,,,", line, "last,nidd,last@x.org,,,,")

    imported = await import_csv(directory, lines(*text))

    assert [fault.line for fault in imported.faults] == [3]
    assert reason in imported.faults[0].reason
    assert imported.added == 0
    assert await directory.count() == 1

    imported = await import_csv(directory, lines(*text), partial=True)
    assert (imported.added, len(imported.faults)) == (2, 1)
    assert await directory.count() == 3


async def test_all_faults_are_told_in_the_order_of_their_lines(directory, draft):
    await directory.add(draft(name="there", device="there@x.org"))
    text = ("there,nidd,other@x.org,,,,", "", "ep,nidd,nobody,,,,", "", 'x,nidd,"two\nlines",,,,', "ep,,,,,,")
    imported = await import_csv(directory, lines(*text))
    assert [fault.line for fault in imported.faults] == [2, 4, 6, 8]


async def test_a_quote_that_is_never_closed_is_a_fault_of_the_line_it_opens_in(directory):
    imported = await import_csv(directory, lines('ep,nidd,d@x.org,,,,"</1>', "ep2,nidd,d2@x.org,,,,"))
    assert [(fault.line, "not CSV" in fault.reason) for fault in imported.faults] == [(2, True)]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("ep1,nidd,d1@x.org,,,,\n", "unknown column 'ep1'"),
        ("endpoint;network;address\n", "commas stand between them"),
        ("endpoint,network\n", "'address' is missing"),
        ("network,address,network\n", "twice"),
        ('"network,address\n', "not CSV"),
    ],
)
async def test_a_header_is_required(directory, header, reason):
    with pytest.raises(ConfigurationError, match=reason):
        await import_csv(directory, io.StringIO(header))


async def test_columns_come_in_any_order_and_some_may_be_missing(directory):
    imported = await import_csv(directory, io.StringIO("\ufeffAddress, Network\n70b3d57ed005a1b2,lora\n"))
    assert (imported.added, imported.faults) == (1, [])


async def test_the_same_file_again_changes_nothing(directory):
    await import_csv(directory, io.StringIO(GOOD))
    imported = await import_csv(directory, io.StringIO(GOOD))
    assert (imported.added, imported.changed, imported.unchanged, imported.faults) == (0, 0, 3, [])


async def test_an_import_with_update_changes_what_it_has_columns_for(directory, draft):
    await directory.add(draft(1, confirmed=True, options={"a": "b"}, object_list="</1/0>", default_ttl=7.0))
    text = "endpoint,network,address,default_ttl\nep1,nidd,new@x.org,60\nep2,nidd,d1@x.org,\n"

    imported = await import_csv(directory, io.StringIO(text), update=True, partial=True)

    assert imported.changed == 1
    assert imported.faults == [Fault(3, "device 'd1@x.org' of network 'nidd' is endpoint 'ep1' already")]
    found = await directory.by_name("ep1")
    assert (found.device, found.default_ttl, found.confirmed) == ("new@x.org", 60.0, True)
    assert (found.options, found.object_list) == ({"a": "b"}, "</1/0>")


async def test_two_lines_that_swap_devices_are_faults_and_the_rest_goes_in(directory, draft):
    await directory.add_all([draft(1), draft(2), draft(3)])
    text = ("ep1,nidd,d2@x.org,,,,", "ep2,nidd,d1@x.org,,,,", "ep3,nidd,new@x.org,,,,")
    imported = await import_csv(directory, lines(*text), update=True, partial=True)
    assert (imported.changed, [fault.line for fault in imported.faults]) == (1, [2, 3])


async def test_lines_beyond_the_last_address_are_named(opened, catalogue, sources):
    directory = await opened(catalogue(sources(count=2)))
    imported = await import_csv(directory, lines(*(f"ep{n},nidd,d{n}@x.org,,,," for n in range(4))), partial=True)
    assert imported.added == 2
    assert [(fault.line, "no addresses are left" in fault.reason) for fault in imported.faults] == [
        (4, True),
        (5, True),
    ]


async def test_bytes_that_are_no_text_are_a_fault_of_their_line(directory, tmp_path):
    path = tmp_path / "devices.csv"
    path.write_bytes(HEADER.encode() + b"ep1,nidd,d1@x.org,,,,\r\nep\xff,nidd,d2@x.org,,,,\r\n")
    with open_csv(path) as file:
        imported = await import_csv(directory, file)
    assert imported.faults == [Fault(3, "is not UTF-8; export the file as UTF-8")]
    with pytest.raises(ConfigurationError, match="cannot read"), open_csv(tmp_path / "absent.csv"):
        pass


async def test_a_file_of_another_encoding_is_told_with_the_cure(directory, tmp_path):
    path = tmp_path / "devices.csv"
    path.write_bytes((HEADER + "ep1,nidd,d1@x.org,,,,\r\n").encode("utf-16"))
    with (
        open_csv(path) as file,
        pytest.raises(ConfigurationError, match="line 1: is not UTF-8; export the file as UTF-8"),
    ):
        await import_csv(directory, file)
