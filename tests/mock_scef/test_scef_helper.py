"""The helper for tests of other T8 clients, against a process of its own."""

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mock_network.scef.testing import EmulatedScef, ScefError

UE = "meter-1@iot.example"


class Client:
    """A small T8 client of the standard library."""

    def __init__(self, scef):
        self._scef = scef
        self.notified = []
        client = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                client.notified.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.destination = f"http://127.0.0.1:{self._server.server_port}/"

    def post(self, url, body):
        headers = {"Authorization": f"Bearer {self._scef.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_client_is_tested_against_it():
    with EmulatedScef(ues=[UE]) as scef:
        client, ue = Client(scef), scef.ue(UE)
        try:
            body = {"externalId": UE, "notificationDestination": client.destination}
            _, configuration = client.post(f"{scef.url}/3gpp-nidd/v1/my-as/configurations", body)
            ue.sleep()
            assert ue.state["reachable"] is False
            deliveries = f"{configuration['self']}/downlink-data-deliveries"
            status, _ = client.post(deliveries, {"externalId": UE, "data": "aGVsbG8="})
            assert (status, ue.received()) == (201, [])
            ue.wake()
            assert ue.received(wait=5) == [b"hello"]
            ue.send(b"\x01\x02")
            (first,) = scef.notifications(wait=5)
            while len(client.notified) < 2:
                scef.notifications(wait=5, since=first["number"])
            assert {"deliveryStatus" in one for one in client.notified} == {True, False}
            other = scef.add_ue(msisdn="491701", t3324=5, sms_udp_port=0)
            assert other.state["settings"]["t3324"] == 5
            other.set(t3324=7)
            other.send_sms(b"x")
            assert scef.air_log(wait=5, what="mo-sms")[0]["data"] == "78"
            other.move("detach")
            other.remove()
            with pytest.raises(ScefError, match="no such UE"):
                scef.ue("491701")
            scef.set(clock_skew=10.0)
            scef.fault("http_error", count=1)
            scef.disarm()
            with pytest.raises(ScefError, match="unknown fault"):
                scef.fault("earthquake")
        finally:
            client.close()


def test_one_that_does_not_start_says_why():
    with pytest.raises(ScefError, match="loopback"), EmulatedScef("--control", "0.0.0.0:0"):
        pass
