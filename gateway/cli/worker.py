"""`gateway worker`."""

import asyncio
from contextlib import suppress

import typer

from gateway.cli.options import DataDir, run, settings_of
from gateway.domain.config.configuration import Configurations
from gateway.server.deployment import open_deployment
from gateway.server.logs import log_observation
from gateway.server.worker import working
from gateway.settings import Settings
from gateway.telemetry import listen


def worker(data_dir: DataDir = None) -> None:
    """Do jobs, such as building profiles for a new merge policy, until SIGTERM or Ctrl-C.

    `gateway serve` does so by itself unless `GATEWAY_RUN_JOBS` is false. Any number of workers may run, on any machine: a job
    is done by one of them, and if that one is killed another goes on. Prints `working` on stdout once it is ready.
    """
    run(_work(settings_of(data_dir=data_dir)))


async def _work(settings: Settings) -> None:
    async with open_deployment(settings) as deployment, working(deployment.db, Configurations(), settings):
        end = listen(log_observation)
        typer.echo("working")
        with suppress(asyncio.CancelledError):  # a stop by signal is no failure
            await asyncio.Event().wait()
        end()
