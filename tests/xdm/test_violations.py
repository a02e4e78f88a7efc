"""Paths of violations lead back to the keys by which they go."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.xdm.violations import keys_in, path_of

keys = st.text(max_size=20) | st.sampled_from(
    ["a.b", "a·b", "[0]", "it's", 'a"b', "\\", "o'\"]", "ana@example.com", "+1"]
)


@given(st.lists(keys | st.integers(0, 9), max_size=5))
def test_a_path_tells_its_keys(steps):
    assert list(keys_in(path_of(steps))) == [step for step in steps if isinstance(step, str)]
