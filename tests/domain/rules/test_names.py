"""Names and descriptions: what can be stored and shown, in any language."""

import pytest

from gateway.domain.rules.names import check_description, check_name
from gateway.errors import Invalid


@pytest.mark.parametrize("name", ["CRM", "Ünïcode 表 👩‍👩‍👧", " padded ", "x" * 255])
def test_a_line_of_text_is_a_name(name):
    check_name(name)


@pytest.mark.parametrize("name", ["", "  ", "\u00a0", "x" * 256, "a\x00b", "a\nb", "a\x7f", "half \ud800"])
def test_a_name_is_visible_text_of_one_line_that_can_be_stored(name):
    with pytest.raises(Invalid) as caught:
        check_name(name, "title")
    assert caught.value.path == ["title"]


@pytest.mark.parametrize("text", [None, "", "Two\nlines", "x" * 10_000])
def test_a_description_is_any_text(text):
    check_description(text)


@pytest.mark.parametrize("text", ["x" * 10_001, "a\x00b", "half \udfff"])
def test_a_description_that_cannot_be_stored_is_refused(text):
    with pytest.raises(Invalid) as caught:
        check_description(text)
    assert caught.value.path == ["description"]
