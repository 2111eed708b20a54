"""Links of every form are read by one parser; the last segments say what they name."""

import pytest

from bindings.t8.links import (
    bare_name,
    configuration_id,
    delivery_handle,
    relative_delivery_handle,
    resource_name,
)

CONFIGURATION = [
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1",
    "/3gpp-nidd/v1/as1/configurations/c1",
    "configurations/c1",
    "https://gateway.example/configurations/scef/3gpp-nidd/v1/as1/configurations/c1",
    "https://scef.example/3gpp-nidd/v1/configurations/configurations/c1",  # an scsAsId of that name
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1/",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1?tenant=/configurations/x",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1#/configurations/x",
    "//scef.example/3gpp-nidd/v1/as1//configurations//c1",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/%631",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1/rds-ports/ue1-ef2",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries",
    "https://scef.example/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/7",
    "https://gateway.example/configurations/x/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/7/",
]


@pytest.mark.parametrize("link", CONFIGURATION)
def test_the_configuration_of_a_link(link):
    assert configuration_id(link) == "c1"


@pytest.mark.parametrize("name", ["configurations", "downlink-data-deliveries", "a b", "ä", "a/b", "a%2Fb"])
def test_a_name_that_looks_like_something_else(name):
    from urllib.parse import quote

    link = f"https://scef.example/3gpp-nidd/v1/configurations/configurations/{quote(name, safe='')}"
    assert configuration_id(link) == name
    assert delivery_handle(f"{link}/downlink-data-deliveries/7") == f"{quote(name, safe='')}/7"


@pytest.mark.parametrize(
    "link", ["", "/", "c1", "/configurations", "/configurations/", "https://x/y", "?/configurations/c"]
)
def test_a_link_to_no_configuration(link):
    assert configuration_id(link) is None
    assert delivery_handle(link) is None


@pytest.mark.parametrize(
    "link",
    [
        "https://scef.example/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/7",
        "/3gpp-nidd/v1/niimeid1/configurations/c1/downlink-data-deliveries/7/",
        "/configurations/x/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/7?a=b",
        "/configurations/downlink-data-deliveries/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/7",
    ],
)
def test_the_handle_of_a_delivery(link):
    assert delivery_handle(link) == "c1/7"


@pytest.mark.parametrize(
    ("delivery", "encoded"),
    [("7", "7"), ("%37", "7"), ("ä", "%C3%A4"), ("%C3%A4", "%C3%A4"), ("a-b", "a-b"), ("7#x", "7")],
)
def test_a_handle_has_one_spelling_whatever_the_link_has(delivery, encoded):
    link = f"https://scef.example/3gpp-nidd/v1/as1/configurations/c1/downlink-data-deliveries/{delivery}"
    assert delivery_handle(link) == f"c1/{encoded}"


def test_a_name_alone_is_relative_to_its_collection():
    assert bare_name("365") == bare_name("/365/") == "365"
    assert bare_name("") is bare_name("a/b") is bare_name("mailto:x") is None


@pytest.mark.parametrize("dots", [".", "..", "%2e", "%2E%2e", ".%2E"])
def test_dots_are_no_names(dots):
    """A DELETE of a delivery `..` would be one of its configuration."""
    configuration = "/3gpp-nidd/v1/as1/configurations"
    assert delivery_handle(f"{configuration}/c1/downlink-data-deliveries/{dots}") is None
    assert delivery_handle(f"{configuration}/{dots}/downlink-data-deliveries/7") is None
    assert configuration_id(f"{configuration}/{dots}") is None
    assert resource_name(f"/subscriptions/{dots}", "subscriptions") is None
    assert bare_name(dots) is None
    assert relative_delivery_handle(dots, "c1") is None


@pytest.mark.parametrize(
    "link",
    [
        "7",
        "./7",
        "/7",
        "downlink-data-deliveries/7",
        "./downlink-data-deliveries/7",
        "../c 1/downlink-data-deliveries/7",
        "../c%201/downlink-data-deliveries/7?a=b",
    ],
)
def test_a_delivery_relative_to_its_collection(link):
    assert relative_delivery_handle(link, "c 1") == "c%201/7"


@pytest.mark.parametrize("link", ["", "?x", "#7", "http://[", "a/b", "../..", "downlink-data-deliveries/"])
def test_a_relative_link_to_nothing(link):
    assert relative_delivery_handle(link, "c1") is None


def test_other_collections():
    assert (
        resource_name("https://scef.example/3gpp-monitoring-event/v1/as1/subscriptions/s%2F1", "subscriptions") == "s/1"
    )
    assert resource_name("https://scef.example/subscriptions", "subscriptions") is None
