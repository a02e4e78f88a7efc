"""A dataset of people for tests of the program: made, filled and counted."""

import json
from pathlib import Path

import httpx
from program import Server, gateway

CREATE_SCHEMA = """mutation { createSchema(input: {title: "Person", class: INDIVIDUAL_PROFILE,
  fieldGroups: ["profile-person-details", "profile-personal-contact"],
  identities: [{path: "personalEmail.address", namespace: "Email", isPrimary: true}]}) { schema { id } } }"""

CREATE_DATASET = """mutation Create($schema: ID!) {
  createDataset(input: {name: "People", schemaId: $schema}) { dataset { id } } }"""

COUNT = "{ datasets { nodes { name recordCount batches { nodes { id status recordCount } } } } }"

NDJSON = {"content-type": "application/x-ndjson"}


def records(first: int, last: int) -> bytes:
    """Return JSON lines of the people numbered from `first` to before `last`."""
    lines = (json.dumps({"personalEmail": {"address": f"p{n}@example.com"}}) for n in range(first, last))
    return "".join(f"{line}\n" for line in lines).encode()


def run(client: httpx.Client, query: str, **variables: str) -> dict:
    """Return the data of an operation that has no errors."""
    body = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in body, body
    return body["data"]


def create_dataset(client: httpx.Client) -> str:
    """Create the dataset `People` and return its id."""
    schema = run(client, CREATE_SCHEMA)["createSchema"]["schema"]["id"]
    return run(client, CREATE_DATASET, schema=schema)["createDataset"]["dataset"]["id"]


def people(client: httpx.Client) -> dict:
    """Return the dataset `People` with its record count and its batches."""
    return next(one for one in run(client, COUNT)["datasets"]["nodes"] if one["name"] == "People")


def ingest(started: Server, file: Path | str, *more: str, **options):
    """Run `gateway ingest` for the dataset `People` of a running server."""
    return gateway("ingest", file, "--dataset", "People", "--data-dir", started.data_dir, *more, **options)
