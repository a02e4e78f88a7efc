"""Durations of one unit: how they are written, how far back they reach, and which are a look-back."""

from datetime import UTC, datetime

import pytest

from gateway.domain.rules.durations import check_lookback, parse_duration
from gateway.errors import BadInput

AT = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("PT90S", datetime(2026, 3, 31, 12, 28, 30, tzinfo=UTC)),
        ("PT45M", datetime(2026, 3, 31, 11, 45, tzinfo=UTC)),
        ("PT24H", datetime(2026, 3, 30, 12, 30, tzinfo=UTC)),
        ("P7D", datetime(2026, 3, 24, 12, 30, tzinfo=UTC)),
        ("P4W", datetime(2026, 3, 3, 12, 30, tzinfo=UTC)),
        ("P1M", datetime(2026, 2, 28, 12, 30, tzinfo=UTC)),
        ("P25M", datetime(2024, 2, 29, 12, 30, tzinfo=UTC)),
        ("P1Y", datetime(2025, 3, 31, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_duration_is_as_long_as_its_unit_and_a_month_as_its_calendar(text, before):
    assert parse_duration(text).before(AT) == before
    assert str(parse_duration(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "7D",
        "P7",
        "P7H",
        "PT7D",
        "P1DT1H",
        "P1.5D",
        "-P1D",
        "P0D",
        "p7d",
        "P7D\n",
        "P\u0661D",
        "P9999999999D",
    ],
)
def test_anything_else_is_none(text):
    with pytest.raises(BadInput):
        parse_duration(text)


@pytest.mark.parametrize("text", ["P9999Y", "P30000M", "P999999999D", "PT999999999H"])
def test_before_the_first_year_there_is_nothing(text):
    with pytest.raises(BadInput):
        parse_duration(text).before(AT)


@pytest.mark.parametrize("text", ["PT1H", "PT26280H", "P1D", "P1098D", "P156W", "P36M", "P3Y"])
def test_a_look_back_is_an_hour_to_three_years(text):
    check_lookback(parse_duration(text))


@pytest.mark.parametrize("text", ["PT90M", "PT3600S", "P1099D", "P157W", "P37M", "P4Y"])
def test_no_other_is_a_look_back(text):
    with pytest.raises(BadInput):
        check_lookback(parse_duration(text))
