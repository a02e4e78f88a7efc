"""`gateway edge`: what it refuses, and where it keeps its store."""

from places import reachable_directory
from program import gateway

from gateway.cli.edge import own_place
from gateway.postgres.account import server_account
from gateway.postgres.directories import claim_data_directory


def test_options_that_are_wrong_are_refused_before_anything_is_started():
    for given, said in (
        (["--data-center", "va6"], "--data-center takes two or three capital letters"),
        (["--data-center", "VA6", "--listen", "10.0.0.5"], "--listen takes an address and a port"),
        (["--data-center", "VA6", "--listen", "10.0.0.5:0"], "--listen takes an address and a port"),
    ):
        refused = gateway("edge", *given)
        assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr


def test_an_edge_that_comes_before_the_hub_leaves_a_data_directory_that_the_hub_takes():
    with reachable_directory() as place:
        own = own_place(place / "data", "VA6")
        assert own == place / "data" / "edges" / "VA6"
        claim_data_directory(own, server_account())
        claim_data_directory(place / "data", server_account())
