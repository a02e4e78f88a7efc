"""`gateway verify`: views that are right pass, and wrong ones are named."""

import asyncio
import json
from pathlib import Path

import asyncpg
from people_dataset import create_dataset, ingest, records, run
from program import gateway, server

CUSTOMER = """mutation { createIdentityNamespace(input: {code: "Customer", name: "Customer", idType: CROSS_DEVICE,
  normalization: TRIM_LOWERCASE}) { identityNamespace { id } } }"""


def test_verify_lists_the_profiles_that_differ_from_the_facts(shared, place):
    data_dir = place / "data"
    with server(data_dir) as started, started.client() as client:
        create_dataset(client)
        file = place / "people.ndjson"
        file.write_bytes(records(0, 5))
        assert ingest(started, file).returncode == 0
        right = gateway("verify", "--data-dir", data_dir)
        asyncio.run(spoil(data_dir))
        wrong, sampled = (
            gateway("verify", "--data-dir", data_dir),
            gateway("verify", "--sample", "5", "--data-dir", data_dir),
        )
        nowhere = gateway("verify", "--sandbox", "nope", "--data-dir", data_dir)
        listed = place / "erased"
        listed.write_text('Email,nobody@example.com\n{"namespace": "Email", "value": "nobody.else@example.com"}\n')
        gone = gateway("verify", "--erased", listed, "--data-dir", data_dir)
        with (data_dir / "postgres.log").open("a") as log:
            log.write("somebody wrote nobody@example.com\n")
        logged = gateway("verify", "--erased", listed, "--json", "--data-dir", data_dir)
        (data_dir / "old.log.gz").write_bytes(b"cut off")
        broken = gateway("verify", "--erased", listed, "--json", "--data-dir", data_dir)
        listed.write_text("Customer,c-1\nEmail,nobody@example.com\n")
        unknown = gateway("verify", "--erased", listed, "--data-dir", data_dir)
        run(client, 'mutation { createSandbox(input: {name: "trial"}) { sandbox { id } } }')
        run(client, CUSTOMER)
        known = gateway("verify", "--erased", listed, "--json", "--data-dir", data_dir)
        listed.write_text("Email\n")
        unreadable = gateway("verify", "--erased", listed, "--data-dir", data_dir)
    compared = "prod: compared identities 5 · fragments 5 · graphs 5 · profiles 5 · events 0 · journal 5 · batches 1\n"
    assert (right.returncode, right.stdout) == (0, compared + "every view is what the facts make of it\n")
    assert wrong.returncode == 1
    assert wrong.stdout.startswith(compared + "prod: profile ")
    assert wrong.stdout.endswith("5 differences\n")
    assert sampled.returncode in {0, 1}
    assert (nowhere.returncode, "'nope'" in nowhere.stderr) == (1, True)
    assert (gone.returncode, gone.stdout.splitlines()[-1]) == (0, "nothing is left of them")
    assert "prod: 2 of them were not erased" in gone.stdout
    assert "the write-ahead log" in gone.stdout
    told = json.loads(logged.stdout)
    assert (logged.returncode, told["found"]) == (1, [{"file": "postgres.log", "pieces": 1}])
    assert "nobody" not in logged.stdout
    assert (broken.returncode, json.loads(broken.stdout)["unread"]) == (1, ["old.log.gz"])
    assert (unknown.returncode, "Customer" in unknown.stderr, "Traceback" in unknown.stderr) == (1, True, False)
    sandboxes = {name: scan["identities"] for name, scan in json.loads(known.stdout)["sandboxes"].items()}
    assert sandboxes == {"prod": 2, "trial": 1}
    assert (unreadable.returncode, "line 1" in unreadable.stderr) == (1, True)


async def spoil(data_dir: Path) -> None:
    """Write wrong documents into the profiles, as a bug might."""
    connection = await asyncpg.connect(f"postgresql://gateway@/gateway?host={data_dir}/socket&port=5432")
    await connection.execute("""update gateway.profile set document = '{"person": {}}'""")
    await connection.close()
