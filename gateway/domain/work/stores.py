"""Stores: every table of the database, what it is, and what takes away what it holds. A table that is not in the list fails a test.

A sandbox that is reset or deleted loses its facts, its views and what exports hold by this list; everything else of it goes with its row. `verify_erasure` looks for a
person in every store that holds something of people.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class StoreKind(StrEnum):
    """What a table is. FACT: kept as it came in. VIEW: a view of the pipeline writes it, and rebuilds it to verify it.

    CONFIGURATION: what a sandbox or an organization is set up with, and what was noted about its use. WORK: jobs, and deliveries to edges. DATABASE: of the database itself.
    """

    FACT = "FACT"
    VIEW = "VIEW"
    CONFIGURATION = "CONFIGURATION"
    WORK = "WORK"
    DATABASE = "DATABASE"


@dataclass(frozen=True, slots=True)
class Store:
    """A table of the schema `gateway`.

    `holds_people`: it may hold values, documents or keys of people beyond what the audit log names them by. `removed_by`: files of statements
    that delete its rows as somebody asks for it or retention does; rows of a view also go as facts do.
    """

    table: str
    kind: StoreKind
    holds_people: bool = False
    removed_by: frozenset[str] = frozenset()


def _fact(table: str, *removed_by: str) -> Store:
    return Store(table, StoreKind.FACT, holds_people=True, removed_by=frozenset(removed_by))


def _view(table: str) -> Store:
    return Store(table, StoreKind.VIEW, holds_people=True)


def _noted(table: str, *removed_by: str) -> Store:
    return Store(table, StoreKind.CONFIGURATION, holds_people=True, removed_by=frozenset(removed_by))


def _of_exports(table: str) -> Store:
    return Store(table, StoreKind.WORK, holds_people=True, removed_by=frozenset({"export_jobs"}))


OF_EXPORTS: Final = ("export_person", "export_identity", "export_file")


STORES: Final = (
    _view("identity"),
    _view("graph"),
    _fact("tie", "batch_removal", "erasure", "erasure_redaction", "event_retention", "profile_retention"),
    _fact("unlinked_pair", "erasure", "manual_links"),
    _fact("record", "batch_removal", "erasure", "profile_retention", "version_retention"),
    _view("fragment"),
    _view("profile"),
    _view("computed_partial"),
    _view("kept_value"),
    _fact("event", "batch_removal", "erasure", "event_retention", "profile_retention"),
    _fact("event_resend", "batch_removal", "erasure", "event_retention", "profile_retention"),
    _view("change"),
    _noted("ingest_error", "batch_removal", "ingest_errors"),
    _noted("ingestion_warning", "dataset_removal", "warnings"),
    Store("job", StoreKind.WORK, holds_people=True, removed_by=frozenset({"export_jobs", "jobs"})),
    *(_of_exports(table) for table in OF_EXPORTS),
    *(Store(table, StoreKind.WORK) for table in ("delivery", "configuration_delivery", "withdrawn_projection")),
    *(
        Store(table, StoreKind.CONFIGURATION)
        for table in (
            *(
                "organization",
                "sandbox",
                "api_key",
                "revocation",
                "signing_key",
                "audit_entry",
                "namespace",
                "identity_settings",
            ),
            *("xdm_schema", "dataset", "batch", "merge_policy", "search_index", "computed_attribute", "kept_attribute"),
            *("projection_destination", "projection_configuration", "preview_report"),
        )
    ),
    Store("migration", StoreKind.DATABASE),
    Store("data_center", StoreKind.DATABASE),
)
"""Every table, those of people in the order in which a sandbox is emptied."""

OF_FACTS_AND_VIEWS: Final = tuple(store.table for store in STORES if store.kind in {StoreKind.FACT, StoreKind.VIEW})
EMPTIED: Final = (*OF_FACTS_AND_VIEWS, *OF_EXPORTS)
"""Tables without a foreign key to the sandbox, which would be checked for every row; they are emptied with it."""
OF_PEOPLE: Final = tuple(store.table for store in STORES if store.holds_people)
