"""Headers of answers."""

from gateway.server.answers import server_timing


def test_the_stages_are_told_in_order_and_in_milliseconds():
    stages = [("parse", 0.0001), ("validate", 0.0123456), ("run", 1.5)]
    assert server_timing(stages) == "parse;dur=0.100, validate;dur=12.346, run;dur=1500.000"
