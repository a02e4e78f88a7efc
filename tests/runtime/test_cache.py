"""The cache is bounded by weight, whatever is put into it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.runtime.cache import WeightedCache


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.booleans())))
def test_the_cache_weighs_no_more_than_it_may_and_drops_the_least_recently_used_first(steps):
    kept, used = WeightedCache(20), []
    for key, weight, puts in steps:
        if puts:
            kept.put(key, (key, weight), weight)
            used = [*(each for each in used if each[0] != key), (key, weight)]
            while sum(each[1] for each in used) > 20:
                used.pop(0)
        else:
            found = kept.get(key)
            assert found == next((each for each in used if each[0] == key), None)
            if found:
                used.remove(found)
                used.append(found)
        assert kept.weight == sum(each[1] for each in used) <= 20
        assert len(kept) == len(used)


def test_a_value_that_weighs_more_than_all_may_is_not_kept():
    kept = WeightedCache(10)
    kept.put("large", 1, 11)
    assert kept.get("large") is None
    assert kept.weight == 0


def test_dropped_is_called_for_replaced_values_too():
    dropped = []
    kept = WeightedCache(10, dropped.append)
    kept.put("a", 1, 5)
    kept.put("a", 2, 6)
    kept.put("b", 3, 5)
    assert dropped == [1, 2]
    assert kept.get("b") == 3


def test_values_are_listed_the_least_recently_used_first():
    cache = WeightedCache(2)
    for key in "abc":
        cache.put(key, key.upper())
    cache.get("b")
    assert list(cache.values()) == ["C", "B"]
