"""Exports give way to those who ingest."""

from gateway.domain.operations.export_throttle import MAX_PAUSE_SECONDS, PAUSE, ThrottleRule


def pauses(*pages):
    """For how long an export pauses after pages of so many seconds, with so many arrivals up to then."""
    rule = ThrottleRule()
    return [rule.pause_after(seconds, arrivals) for seconds, arrivals in pages]


def test_an_export_pauses_after_slow_pages_while_others_ingest():
    assert pauses((0.02, 5), (0.04, 6), (0.04, 6), (0.02, 7), (0.03, 9)) == [0, 0.04 * PAUSE, 0, 0, 0.03 * PAUSE]


def test_an_export_goes_on_where_nobody_ingests_however_slow_it_is():
    assert pauses(*((seconds, 5) for seconds in (0.01, 5.0, 0.02))) == [0, 0, 0]


def test_no_pause_is_long():
    assert pauses((0.01, 5), (9.0, 6)) == [0, MAX_PAUSE_SECONDS]
