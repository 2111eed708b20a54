"""Delivery reports and SMS of devices that another node serves: they are passed on as they came, and count there."""

import base64

import pytest

from bindings.contract import Kind, NetworkState, Report, Submission, UplinkMessage
from bridge.errors import StoreUnavailable
from tests.sms.scripted_sms_centre import MO_ANSWER

DEVICE = "dev1@iot.example"
NUMBER = "491700000001"
SHARD = 7
OTHER = 8
REFERENCE = base64.urlsafe_b64encode(DEVICE.encode()).decode().rstrip("=") + ".7.1"


class Passing:
    """Keeps what is passed on; `fails` makes it fail."""

    def __init__(self):
        self.posts = []
        self.fails = False

    async def __call__(self, post, shard=None):
        if self.fails:
            raise StoreUnavailable("the inbox is full")
        self.posts.append((post, shard))


@pytest.fixture
async def binding(make, side):
    """A node's instance that does not serve the device."""
    one = await make()
    side.elsewhere[DEVICE] = SHARD
    one.listener.pass_on = Passing()
    return one


async def submitted(binding, device=DEVICE):
    """Submit a downlink, as the node that serves the device does; both nodes have the same callback URL."""
    await binding.submit(Submission(7, 1, device, b"x", Kind.REQUEST))


async def test_a_delivery_report_is_passed_on_with_the_attempt_that_its_url_names(binding, centre, side):
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS") == 204
    ((post, shard),) = binding.listener.pass_on.posts
    assert (post.sub_path, shard) == (REFERENCE + "/", SHARD)
    assert side.delivered == []
    side.elsewhere.clear()
    assert await binding.posts.commit_kept(post) is None
    assert side.delivered == [Report(DEVICE, "t1", NetworkState.DELIVERED, "the SMS centre delivered it (SUCCESS)")]


async def test_an_sms_is_passed_on_and_answered_as_the_api_has_it(binding, centre, side, url):
    assert await centre.sms(url, b"\x40\x02") == (200, MO_ANSWER)
    ((post, shard),) = binding.listener.pass_on.posts
    assert (post.sub_path, shard) == ("", SHARD)
    assert side.delivered == []
    side.elsewhere.clear()
    await binding.posts.commit_kept(post)
    (uplink,) = side.delivered
    assert (uplink.device, uplink.payload) == (DEVICE, b"\x40\x02")


@pytest.mark.parametrize("strange", [DEVICE, NUMBER])
async def test_an_sms_that_names_both_identities_goes_to_the_node_of_the_one_that_is_known(
    binding, centre, side, url, strange
):
    known = NUMBER if strange == DEVICE else DEVICE
    side.strangers.add(strange)
    side.elsewhere = {known: OTHER}
    assert await centre.sms(url, msisdn=NUMBER) == (200, MO_ANSWER)
    ((post, shard),) = binding.listener.pass_on.posts
    assert shard == OTHER
    side.elsewhere.clear()
    await binding.posts.commit_kept(post)
    assert [one.device for one in side.of(UplinkMessage)] == [known]


async def test_what_a_bridge_that_stands_by_keeps_counts_at_the_one_that_serves(binding, centre, side, url):
    """A kept notification is answered as the API has it, too, whatever it turns out to be."""
    await submitted(binding)
    keeping = binding.listener.keep = Passing()
    side.elsewhere.clear()
    assert await centre.report("t1", "SUCCESS") == 204
    assert await centre.sms(url, b"\x40\x02") == (200, MO_ANSWER)
    assert await centre.notify(url, b"no JSON") == 204
    assert side.delivered == []
    report, sms, _ = [post for post, _ in keeping.posts]
    await binding.posts.commit_kept(report)
    await binding.posts.commit_kept(sms)
    assert [type(one) for one in side.delivered] == [Report, UplinkMessage]


async def test_what_cannot_be_passed_on_is_not_acknowledged(binding, centre, side, url):
    binding.listener.pass_on.fails = True
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS") == 503
    assert (await centre.sms(url))[0] == 503
    assert side.counts["sms_notifications_store_unavailable"] == 2


async def test_what_no_node_knows_is_refused_and_not_passed_on(binding, centre, side, url):
    side.strangers.add("nobody@iot.example")
    assert (await centre.sms(url, externalId="nobody@iot.example"))[0] == 404
    await submitted(binding)
    assert await centre.report("t1", "SUCCESS", to=url) == 404
    assert await centre.notify(url, b"{") == 400
    assert binding.listener.pass_on.posts == []


async def test_a_node_that_comes_to_serve_a_device_needs_nothing_of_the_former_one(make, centre, side, binding):
    """The node finds and recalls the former node's trigger, and takes its report."""
    await submitted(binding)
    side.elsewhere.clear()
    following = await make()
    following.device_came(DEVICE)
    attempt = Submission(7, 1, DEVICE, b"x", Kind.REQUEST)
    found = await following.lookup(attempt)
    assert found.handle == "t1"
    destination = centre.transactions["t1"]["notificationDestination"]
    base, _, rest = destination.rpartition(REFERENCE)
    assert base.rstrip("/") == binding.listener.url.rpartition("/")[0]
    url = following.listener.url.rpartition("/")[0]
    assert await centre.report("t1", "SUCCESS", to=f"{url}/{REFERENCE}{rest}") == 204
    assert side.of(Report) == [Report(DEVICE, "t1", NetworkState.DELIVERED, "the SMS centre delivered it (SUCCESS)")]
