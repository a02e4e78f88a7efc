"""Spreads tests over processes: all tests of a file go to one, all files with the demo go to one, and the longest files begin first.

So nothing is set up twice that a file or the demo stands on, and no process is left with a long file when the others are done.
"""

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadScopeScheduling

DEMO = ("tests/server/http/test_console_over_a_gateway.py", "tests/demo/test_loader.py", "tests/test_documents.py")
"""Files with tests over the demo, which takes a while to load, in the order in which they may change it."""

LONGEST = (
    *DEMO,
    "tests/api/execution/test_differential.py",
    "tests/properties/test_facts_and_views.py",
    "tests/cli/test_serve.py",
    "tests/demo/test_demo.py",
    "tests/server/test_crashes.py",
    "tests/properties/test_links_by_hand.py",
    "tests/properties/test_erasure.py",
    "tests/server/test_backups.py",
    "tests/api/test_schemas_of_any_kind.py",
    "tests/domain/work/test_crash_points.py",
    "tests/cli/test_ending.py",
    "tests/server/test_stalls.py",
    "tests/storage/test_pooler.py",
    "tests/properties/test_one_truth.py",
    "tests/postgres/test_cluster.py",
    "tests/pql/test_agreement.py",
    "tests/api/test_wall.py",
    "tests/server/http/test_console.py",
    "tests/api/test_garbage.py",
    "tests/properties/test_large_components.py",
    "tests/properties/test_exports.py",
    "tests/domain/operations/test_export_jobs.py",
    "tests/properties/test_effects.py",
    "tests/cli/test_key.py",
    "tests/cli/test_ingest.py",
    "tests/domain/rules/test_merge.py",
    "tests/domain/rules/test_graphs.py",
    "tests/server/http/test_front_door.py",
    "tests/cli/test_kill.py",
    "tests/domain/operations/test_batch_removal.py",
    "tests/properties/test_races.py",
    "tests/properties/test_changes.py",
    "tests/server/test_own_postgres.py",
    "tests/domain/config/test_identity_settings.py",
    "tests/domain/operations/test_policy_materialization.py",
    "tests/api/execution/test_lookahead.py",
    "tests/api/execution/test_operations.py",
    "tests/domain/rules/test_normalization.py",
    "tests/api/test_profiles.py",
    "tests/cli/test_program.py",
    "tests/cli/test_changes.py",
    "tests/sql/test_migrations.py",
    "tests/cli/test_verify.py",
    "tests/server/http/test_hatch_build.py",
    "tests/server/http/test_connections.py",
    "tests/storage/test_stalls.py",
)
"""Files that take four seconds or more, about in the order of their time; those over the demo come first, as they are one."""

_RANKS = {file: rank for rank, file in enumerate(LONGEST)}


def file_of(nodeid: str) -> str:
    """The file of a test."""
    return nodeid.partition("::")[0]


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests as they should begin. Raises UsageError for one over the demo in another file than those of DEMO."""
    ordered = sorted(items, key=lambda item: _RANKS.get(file_of(item.nodeid), len(_RANKS)))
    for item in ordered:
        if "demo" in getattr(item, "fixturenames", ()) and file_of(item.nodeid) not in DEMO:
            raise pytest.UsageError(f"{file_of(item.nodeid)} is over the demo: name it in tests/distribution.py.")
    return ordered


class Distribution(LoadScopeScheduling):
    """Gives a process a file's tests at once, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return "the demo" if file in DEMO else file
