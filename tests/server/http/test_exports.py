"""Files of exports over HTTP: whole and in ranges, for callers with the headers of any request."""

import hashlib

import pytest
from working import work_off

from gateway.domain.config.configuration import Configurations
from gateway.domain.rules.scope import Permission
from gateway.server.http.exports import range_of

CREATE = "mutation { createExportJob(input: {format: JSONL}) { exportJob { id } userErrors { message } } }"
SHOW = "query ($id: ID!) { exportJob(id: $id) { status error files { path url rows bytes sha256 } } }"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-3", range(4)), ("bytes=2-", range(2, 10)), ("bytes=-3", range(7, 10)), ("bytes=-99", range(10)), ("bytes=3-99", range(3, 10)),
        ("bytes=10-", range(10, 10)), ("bytes=-0", range(10, 10)), ("bytes=3-2", None), ("bytes=-", None), ("bytes=0-1,3-4", None), ("items=0-1", None), ("bytes=0-" + "9" * 5000, None),
    ],
)  # fmt: skip
def test_a_range_is_read_as_the_standard_says(text, found):
    assert range_of(text, 10) == found


async def test_a_file_is_given_whole_and_in_ranges_by_the_permission_to_read_people(start_gateway):
    async with start_gateway(run_jobs=False) as gateway:
        await give_whole_and_in_ranges(gateway)


async def give_whole_and_in_ranges(gateway):
    dataset = await gateway.dataset()
    both = [Permission.PROFILE_READ, Permission.JOBS_WRITE]
    headers = await gateway.headers([*both, Permission.PROFILE_WRITE])
    sent = {**headers, "content-type": "application/x-ndjson"}
    lines = b'{"personalEmail": {"address": "p1@example.com"}}\n'
    assert (await gateway.http.post(f"/ingest/{dataset}", content=lines, headers=sent)).status_code == 200

    async def asked(query, **variables):
        response = await gateway.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        return response.json()["data"]

    made = (await asked(CREATE))["createExportJob"]["exportJob"]["id"]
    await work_off(gateway.store.db, Configurations(), gateway.settings)
    shown = (await asked(SHOW, id=made))["exportJob"]
    assert (shown["status"], shown["error"]) == ("COMPLETED", None)
    _, file = shown["files"]

    async def got(more=None, url=file["url"], permissions=None, method="GET"):
        given = headers if permissions is None else await gateway.headers(permissions)
        return await gateway.http.request(method, url, headers={**given, **(more or {})})

    whole = await got()
    assert (whole.status_code, len(whole.content)) == (200, file["bytes"])
    assert hashlib.sha256(whole.content).hexdigest() == file["sha256"]
    tag = whole.headers["etag"]
    part = await got({"range": "bytes=3-7"})
    assert (part.status_code, part.content) == (206, whole.content[3:8])
    assert part.headers["content-range"] == f"bytes 3-7/{file['bytes']}"
    assert (await got({"range": "bytes=3-7", "if-range": '"other"'})).status_code == 200
    assert (await got({"range": f"bytes={file['bytes']}-"})).status_code == 416
    assert (await got({"if-none-match": tag})).status_code == 304
    head = await got(method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", f"{file['bytes']}")
    assert (await got(permissions=[Permission.CONFIG_WRITE])).status_code == 403
    for url in (f"/exports/{made}/other", f"/exports/{made}/..%2Fother", "/exports/export_x/manifest.json"):
        assert (await got(url=url)).status_code == 404
    assert (await gateway.http.get(file["url"])).status_code in {401, 403}
