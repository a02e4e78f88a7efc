"""Validators are cached within a limit of memory, and compiled in threads."""

import threading
from uuid import uuid4

from world import World, record

from gateway.domain.config.validator_cache import Validators
from gateway.domain.rules.versions import Mode
from gateway.xdm import validation
from gateway.xdm.classes import XdmClass, compose
from gateway.xdm.validation import weight

SCHEMA = compose(XdmClass.INDIVIDUAL_PROFILE, None, None, "acme")
ADA = ("Email", "ada@example.com")


def test_the_validator_of_a_version_is_one_as_long_as_it_is_kept():
    kept, key = Validators(), (uuid4(), 1)
    assert kept.of(key, SCHEMA) is kept.of(key, SCHEMA)
    assert kept.of((key[0], 2), SCHEMA) is not kept.of(key, SCHEMA)


def test_beyond_its_memory_the_one_that_was_away_for_longest_is_forgotten():
    kept, keys = Validators(2 * weight(SCHEMA)), [(uuid4(), 1) for _ in range(3)]
    first, second = kept.of(keys[0], SCHEMA), kept.of(keys[1], SCHEMA)
    kept.of(keys[0], SCHEMA)
    kept.of(keys[2], SCHEMA)
    assert kept.of(keys[0], SCHEMA) is first
    assert kept.of(keys[1], SCHEMA) is not second


def test_one_that_is_larger_than_all_the_memory_is_kept_alone():
    kept, key = Validators(1), (uuid4(), 1)
    assert kept.of(key, SCHEMA) is kept.of(key, SCHEMA)


async def test_nothing_is_compiled_on_the_event_loop(db, monkeypatch):
    where = []
    compiled = validation._compiled

    def noted(*args, **how):
        where.append((threading.current_thread() is threading.main_thread(), how["partial"]))
        return compiled(*args, **how)

    monkeypatch.setattr(validation, "_compiled", noted)
    world = await World.create(db)
    for mode in (Mode.REPLACE, Mode.MERGE, Mode.REPLACE):
        await world.records(record(ADA, first_name="Ada"), mode=mode)
    assert {on_loop for on_loop, _ in where} == {False}
    assert [partial for _, partial in where[-2:]] == [False, True]
