"""Settings: where they come from, what they refuse, and what they say about it."""

import pytest

from gateway.errors import SettingsError
from gateway.settings import LOOPBACK_NAMES, read_settings

ISSUER = '{"issuer": "https://idp.example", "audience": "gateway", "jwks_url": "https://idp.example/keys"}'


def test_without_any_setting_only_this_machine_can_reach_it(monkeypatch):
    monkeypatch.delenv("GATEWAY_DATABASE_URL", raising=False)
    settings = read_settings()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8000, None)
    assert settings.is_loopback
    assert settings.hosts == LOOPBACK_NAMES


def test_what_is_given_wins_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEWAY_PORT", "9000")
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    settings = read_settings(port=None, host="::1")
    assert (settings.port, settings.data_dir, settings.is_loopback) == (9000, tmp_path, True)
    assert read_settings(port=1).port == 1


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("GATEWAY_ALLOWED_HOSTS", "api.example, www.example,")
    assert read_settings().hosts == ("api.example", "www.example")
    assert read_settings(host="0.0.0.0", allowed_hosts=()).hosts == ("*",)  # noqa: S104 # nothing listens


def test_an_issuer_is_pinned_to_algorithms_that_need_no_shared_secret(monkeypatch):
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", f"[{ISSUER}]")
    assert read_settings().jwt_issuers[0].algorithms == ("RS256",)
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", f'[{ISSUER[:-1]}, "algorithms": ["HS256"]}}]')
    with pytest.raises(SettingsError, match="GATEWAY_JWT_ISSUERS"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "tcp://10.0.0.1:8000"),  # what Kubernetes sets for a service of this name
        ("GATEWAY_PORT", "70000"),
        ("GATEWAY_WORKERS", "0"),
        ("GATEWAY_JWT_SECRET", "too short"),
        ("GATEWAY_JWT_ISSUERS", "not JSON"),
        ("GATEWAY_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_names_its_variable_and_stays_unsaid(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert name in caught.value.message
    assert "too short" not in caught.value.message


def test_secrets_are_not_printed(monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://me:hidden@db/gateway")
    monkeypatch.setenv("GATEWAY_JWT_SECRET", "hidden" * 8)
    assert "hidden" not in repr(read_settings())
