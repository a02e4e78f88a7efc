"""Settings: where they come from, what they refuse, and what they say about it."""

import os
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.server.http.hosts import HostNames
from gateway.settings import LOOPBACK_NAMES, Limit, Settings, read_settings

ISSUER = '{"issuer": "https://idp.example", "audience": "gateway", "jwks_url": "https://idp.example/keys"}'


def test_without_any_setting_only_this_machine_can_reach_the_server(monkeypatch):
    monkeypatch.delenv("GATEWAY_DATABASE_URL", raising=False)
    settings = read_settings()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8000, None)
    assert settings.is_loopback
    assert settings.hosts == LOOPBACK_NAMES


def test_options_win_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEWAY_PORT", "9000")
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    settings = read_settings(port=None, host="::1")
    assert (settings.port, settings.data_dir, settings.is_loopback) == (9000, tmp_path, True)
    assert read_settings(port=1).port == 1
    assert read_settings(host="[::1]").host == "::1"


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("GATEWAY_ALLOWED_HOSTS", "api.example, www.example,")
    assert read_settings(host="10.0.0.1").hosts == ("api.example", "www.example")
    assert read_settings().hosts == ("api.example", "www.example", *LOOPBACK_NAMES)  # its own link works, too
    assert read_settings(host="0.0.0.0", allowed_hosts=()).hosts == ("*",)  # noqa: S104 # nothing listens


def test_an_issuer_is_pinned_to_algorithms_that_need_no_shared_secret(monkeypatch):
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", f"[{ISSUER}]")
    assert read_settings().jwt_issuers[0].algorithms == ("RS256",)
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", f'[{ISSUER[:-1]}, "algorithms": ["HS256"]}}]')
    with pytest.raises(SettingsError, match="GATEWAY_JWT_ISSUERS"):
        read_settings()


@pytest.mark.parametrize("name", ["GATEWAY_ALOWED_HOSTS", "GATEWAY_ALLOWED_HOST", "gateway_allowed_hots"])
def test_a_misspelt_variable_is_an_error_that_names_it(monkeypatch, name):
    monkeypatch.setenv(name, "api.example")
    with pytest.raises(SettingsError, match=f"{name.upper()} is no setting. Did you mean GATEWAY_ALLOWED_HOSTS?"):
        read_settings()


@pytest.mark.parametrize(
    "name", ["PORT_8000_TCP", "PORT_8000_TCP_PROTO", "SERVICE_HOST", "SERVICE_PORT_HTTP", "CONSOLE_PORT", ""]
)
def test_variables_of_other_programs_are_no_settings(monkeypatch, name):
    monkeypatch.setenv(f"GATEWAY_{name}", "tcp://10.0.0.1:8000")
    read_settings()


WRONG = {
    "HOST": ["localhost:8000", "http://localhost", "[::1]:80", "*", "10.0.0.0/8", "a" * 64, "a..b", "münchen.de", "a b", "-", "\udcff"],
    "PORT": ["tcp://10.0.0.1:8000", "70000", "-1", "8000.5", "1e3", "0x50"],  # the first one is Kubernetes' own
    "DATA_DIR": ["~nobody-of-this-name/data"],
    "DATABASE_URL": [
        *("localhost", "mysql://db/gateway", "http://db", "postgresql://db:port/x", "postgresql://db:0/x", "postgresql://db:99999/x"),
        *("postgresql://me:pa#ss@db/x", "postgresql://me:pa/ss@db/x", "postgresql://me:p@ss@db/x", "postgresql://[::1/x"),
        *("postgresql://db/x?sslmode", "\udcff", "host=db user=me"),
    ],
    "EDGE_DATABASE_URL": ["localhost", "postgresql://db:0/x", "\udcff"],
    "EDGES": [
        *("OR2", "OR2=", "VA6=localhost", "va6=postgresql://db/x", "VAIL6=postgresql://db/x", "VA6=postgresql://me:p@ss@db/x", "VA6=\udcff"),
        *("VA6=postgresql://db/x,OR2=http://db", "VA6=postgresql://db/x,VA6=postgresql://db/y"),
    ],
    "LISTEN_URL": ["localhost", "postgresql://db:0/x", "\udcff"],
    "DATABASE_CONNECTIONS": ["1", "0", "-5", "1001", "inf", "9" * 400, "ten"],
    "STATEMENT_CACHE": ["-1", "nan", "9" * 30],
    "ORGANIZATION": ["Local", "a b", "1a", "a" * 33, "é", "a\n"],
    "WORKERS": ["0", "-1", "1e9", "99999999"],
    "RUN_JOBS": ["maybe", "2"],
    "CONSOLE": ["maybe", "off "],
    "JWT_SECRET": ["too short", "\udcff"],
    "JWT_ISSUERS": [
        *("not JSON", "[" * 100_000, "{}", "null", "7", "[7]", "[{}]", f"[{ISSUER}, {ISSUER}]", "\udcff"),
        *(f"[{ISSUER[:-1]}, {more}}}]" for more in ('"algorithms": []', '"algorithms": ["none"]', '"more": 1', '"audience": ""')),
        *(
            f'[{{"issuer": "https://idp.example", "audience": "gateway", "jwks_url": "{url}"}}]'
            for url in ("https://", "http://idp.example/keys", "https://idp.example:x/", "https://é/", "https://[/", "//x", "https://a b")
        ),
        '[{"issuer": "profile-gateway", "audience": "gateway", "jwks_url": "https://idp.example/keys"}]',
    ],
    "JWT_LEEWAY_SECONDS": ["-1", "601", "nan", "inf"],
    "ALLOWED_HOSTS": [
        *("localhost:8000", "api.example, www.example:443", "https://api.example", "api.example/", "a b", "*.*.example", "api.*"),
        *(",", " , ", "münchen.de", "[::1]:80", "10.0.0.0/8", "a" * 64, "[10.0.0.1]", "\udcff", "@", "*example"),
    ],
    "CORS_ORIGINS": [
        *("https://shop.example/", "https://shop.example/page", "shop.example", "https://", "null", "https://shop.example:443"),
        *("http://shop.example:80", "https://*.example", "https://a b", "https://me@shop.example", "https://shop.example?", ","),
        *("https://shop.example, https://x.example/", "https://x.example:123456", "https://münchen.de", "\udcff"),
    ],
    "REQUEST_SECONDS": ["inf", "-inf", "nan", "1e300", "0", "-1", "1e-9", "86401", "30s"],
    "DRAIN_SECONDS": ["inf", "nan", "1e300", "0", "-1"],
    "LOG_LEVEL": ["loud", "trace"],
}  # fmt: skip


FAULTS = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), FAULTS, ids=range(len(FAULTS)))
def test_a_wrong_value_is_an_error_of_one_line_that_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert caught.value.message.startswith(f"GATEWAY_{name}")
    assert caught.value.message.isprintable()
    if name in {"JWT_SECRET", "DATABASE_URL", "EDGE_DATABASE_URL", "EDGES", "LISTEN_URL"}:
        assert value not in caught.value.message


def test_errors_name_the_place_inside_a_value_and_all_wrong_values_at_once(monkeypatch):
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", f'[{ISSUER}, {{"issuer": "x", "audience": "y", "jwks_url": "http://x"}}]')
    monkeypatch.setenv("GATEWAY_WORKERS", "none")
    with pytest.raises(SettingsError, match=r"GATEWAY_JWT_ISSUERS\[1\].jwks_url: is an address.*") as caught:
        read_settings()
    assert "GATEWAY_WORKERS: " in caught.value.message


def test_settings_that_are_wrong_together_name_each_other():
    with pytest.raises(SettingsError, match="GATEWAY_WORKERS times GATEWAY_DATABASE_CONNECTIONS"):
        read_settings(workers=256, database_connections=1000)
    assert read_settings(workers=256, database_connections=1000, database_url="postgresql://db/gateway")


ANYTHING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
NEAR = st.lists(
    st.sampled_from(
        [
            *'0123456789-+.,:/[]{}*@%?#= \t"~é',
            "e",
            "inf",
            "nan",
            "true",
            "http://",
            "https://",
            "localhost",
            "::1",
            "postgresql://",
        ]
    ),
    min_size=1,
    max_size=8,
).map("".join)


@given(name=st.sampled_from(sorted(Settings.model_fields)), value=ANYTHING | NEAR)
def test_any_value_of_a_variable_is_accepted_or_an_error_of_one_line(name, value):
    settings, fault = tried(f"GATEWAY_{name.upper()}", value)
    if settings is None:
        assert fault.startswith(f"GATEWAY_{name.upper()}")
        assert "\n" not in fault
        return
    names = [host for host in settings.hosts if "*" not in host]
    assert all(host in HostNames(settings.hosts) and f"{host}:80" in HostNames(settings.hosts) for host in names)
    assert all("/" not in origin.partition("://")[2] for origin in settings.cors_origins)


def tried(variable, value):
    """The settings with this variable, or what is said against it."""
    with patch.dict(os.environ, {variable: value}):
        try:
            return read_settings(), ""
        except SettingsError as error:
            return None, error.message


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if field.annotation in {int, float}]
)
def test_every_number_has_a_least_and_a_most(name):
    field = Settings.model_fields[name]
    bounds = {type(one).__name__ for one in field.metadata}
    assert bounds & {"Ge", "Gt"}, "and so it is told at the start"
    assert bounds & {"Le", "Lt"}
    if field.annotation is float:
        assert any(getattr(one, "allow_inf_nan", None) is False for one in field.metadata)


NO_LIMITS = {"port", "statement_cache", "workers", "jwt_leeway_seconds"}
"""Numbers that bound nothing of what a caller can make a process do."""


def test_every_number_is_a_limit_that_callers_see_or_known_to_be_none(monkeypatch):
    marked = {
        name for name, field in Settings.model_fields.items() if any(isinstance(one, Limit) for one in field.metadata)
    }
    numbers = {name for name, field in Settings.model_fields.items() if field.annotation in {int, float}}
    assert marked == numbers - NO_LIMITS, "a new number is marked as a Limit, or is none"
    monkeypatch.setenv("GATEWAY_REQUEST_SECONDS", "0.25")
    monkeypatch.setenv("GATEWAY_STREAM_BYTES", "5000")
    seen = {limit.name: limit for limit in read_settings().service_limits}
    assert len(seen) == len(marked)
    assert (seen["requestTime"].value, seen["requestTime"].unit) == (250, "milliseconds")
    assert (seen["streamBytes"].value, seen["streamBytes"].unit) == (5000, "bytes")
    assert seen["streamBytes"].description == Settings.model_fields["stream_bytes"].description


@pytest.mark.parametrize(
    ("given", "means"),
    [("Api.Example.", "api.example"), ("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("[FD00::1]", "[fd00::1]"), ("*.At.example", "*.at.example"), ("pod_7", "pod_7")],
)  # fmt: skip
def test_a_host_is_kept_as_it_is_compared(given, means):
    assert read_settings(host="10.0.0.1", allowed_hosts=given).allowed_hosts == (means,)


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "http://localhost:3000",
        "http://[::1]:3000",
        "capacitor://localhost",
        "https://10.0.0.1:8443",
        "*",
    ],
)
def test_an_origin_is_accepted_as_browsers_send_it(origin):
    assert read_settings(cors_origins=origin.upper() if origin != "*" else origin).cors_origins == (origin,)


@pytest.mark.parametrize(
    "address",
    ["postgresql://db/x", "postgres://me:p%40ss@[::1]:5432/x?sslmode=require", "postgresql:///x?host=/run/postgresql", "postgresql://a:1,b:2/x", "postgresql://me:pä$s@db/x"],
)  # fmt: skip
def test_addresses_of_postgres_are_accepted(address):
    assert read_settings(database_url=address).database_url.get_secret_value() == address


def test_secrets_are_not_printed(monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://me:hidden@db/gateway")
    monkeypatch.setenv("GATEWAY_JWT_SECRET", "hidden" * 8)
    assert "hidden" not in repr(read_settings())
