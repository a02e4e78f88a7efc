"""The pace of an export beside those who ingest."""

from gateway.domain.operations.export_pace import MAX_REST_SECONDS, REST, Pace


def rests(*pages):
    """For how long an export rests after pages of so many seconds, with so many arrivals up to then."""
    pace = Pace()
    return [pace.rest_after(seconds, arrivals) for seconds, arrivals in pages]


def test_an_export_rests_after_slow_pages_while_others_ingest():
    assert rests((0.02, 5), (0.04, 6), (0.04, 6), (0.02, 7), (0.03, 9)) == [0, 0.04 * REST, 0, 0, 0.03 * REST]


def test_an_export_goes_on_where_nobody_ingests_however_slow_it_is():
    assert rests(*((seconds, 5) for seconds in (0.01, 5.0, 0.02))) == [0, 0, 0]


def test_no_rest_is_long():
    assert rests((0.01, 5), (9.0, 6)) == [0, MAX_REST_SECONDS]
