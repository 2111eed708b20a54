"""`status` shows people figures with their units."""

from bridge.cli.status import _with_units


def test_seconds_bytes_and_times_have_units_and_counts_have_none() -> None:
    figures = {
        "client": {"round_trip_95": 0.0125, "clock_skew": None, "requests": 7, "up": True},
        "callbacks": {"report_at": 1_800_000_000.0, "sms_at": None, "taken": 3},
        "store": {"bytes": 12_345_678, "rows": 5},
        "clock_ahead": -1.5,
        "endpoints": 2,
    }
    assert _with_units(figures) == {
        "client": {"round_trip_95": "0.0125 s", "clock_skew": None, "requests": 7, "up": True},
        "callbacks": {"report_at": "2027-01-15 08:00:00Z", "sms_at": None, "taken": 3},
        "store": {"bytes": "12.3 MB", "rows": 5},
        "clock_ahead": "-1.5 s",
        "endpoints": 2,
    }
    assert _with_units({"bytes": 4096}) == {"bytes": "4096 bytes"}
