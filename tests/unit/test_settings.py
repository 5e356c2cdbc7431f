"""Every setting from its variable, and an error that names the variable."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aop.settings import ConnectTo, Settings, SettingsError, redirected


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AOP_{name.upper()}", raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"AOP_{name.upper()}", value)
    return Settings.load()


def test_without_any_variable_the_defaults_hold() -> None:
    settings = Settings.load()
    assert settings.cloudflare_base_url == "https://api.cloudflare.com/client/v4"
    assert (
        settings.resync_s,
        settings.recheck_s,
        settings.awaited_recheck_s,
        settings.quiet_period_s,
    ) == (300, 60, 5, 300)
    assert (
        settings.replica_recheck_s,
        settings.edge_cadence_s,
        settings.edge_requests_per_s,
        settings.teardown_patience_s,
    ) == (
        30,
        10,
        60,
        600,
    )
    assert (settings.edge_connect_to, settings.watch_namespaces, settings.ingress_config_maps) == (
        (),
        (),
        (),
    )
    assert (
        settings.health_port,
        settings.metrics_port,
        settings.log_level,
        settings.log_format,
    ) == (8080, 8081, "info", "text")
    assert (settings.budget_share, settings.budget_resync_share) == (0.75, 0.25)
    assert settings.kubeconfig is None


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, **dict.fromkeys(Settings.model_fields, "")) == Settings()


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        (
            "cloudflare_base_url",
            "http://127.0.0.1:8443/client/v4",
            "http://127.0.0.1:8443/client/v4",
        ),
        ("watch_namespaces", "edge, shop,,web-1 ", ("edge", "shop", "web-1")),
        (
            "ingress_config_maps",
            "ingress-nginx/ingress-nginx-controller, web/nginx.v2",
            ("ingress-nginx/ingress-nginx-controller", "web/nginx.v2"),
        ),
        ("resync_s", "0.5", 0.5),
        ("probe_timeout_s", "2", 2.0),
        ("quiet_period_s", "1e3", 1000.0),
        ("budget_share", "1", 1.0),
        ("health_port", "0", 0),
        ("metrics_port", "65535", 65535),
        ("log_level", "DEBUG", "debug"),
        ("log_format", "Json", "json"),
        ("edge_connect_to", "::127.0.0.1:8443", (ConnectTo(None, None, "127.0.0.1", 8443),)),
        (
            "edge_connect_to",
            "a.example.com:443:edge.example.net:, :80:[::1]:8080,",
            (
                ConnectTo("a.example.com", 443, "edge.example.net", None),
                ConnectTo(None, 80, "::1", 8080),
            ),
        ),
        (
            "edge_connect_to",
            "[2001:db8::1]:443::8443",
            (ConnectTo("2001:db8::1", 443, None, 8443),),
        ),
        ("edge_connect_to", ":::", (ConnectTo(None, None, None, None),)),
    ],
)
def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, value: Any
) -> None:
    assert getattr(load(monkeypatch, **{name: written}), name) == value


@pytest.mark.parametrize("name", ["edge_ca_file", "kubeconfig"])
def test_a_file_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    with pytest.raises(SettingsError, match=f"AOP_{name.upper()}"):
        load(monkeypatch, **{name: str(file)})
    file.touch()
    assert getattr(load(monkeypatch, **{name: str(file)}), name) == file


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cloudflare_base_url", "api.cloudflare.com"),
        ("cloudflare_base_url", "ftp://api.example"),
        ("watch_namespaces", "Edge"),
        ("watch_namespaces", "edge/a"),
        ("ingress_config_maps", "controller"),
        ("ingress_config_maps", "a/b/c"),
        ("ingress_config_maps", "a/b;c/d"),
        ("edge_connect_to", "127.0.0.1:8443"),
        ("edge_connect_to", "::127.0.0.1:https"),
        ("edge_connect_to", "::127.0.0.1:0"),
        ("edge_connect_to", "::127.0.0.1:65536"),
        ("edge_connect_to", "::::1:8443"),
        ("edge_connect_to", "a b:1:c:2"),
        ("resync_s", "0"),
        ("resync_s", "-1"),
        ("resync_s", "5m"),
        ("recheck_s", "nan"),
        ("quiet_period_s", "inf"),
        ("budget_share", "0"),
        ("budget_share", "1.01"),
        ("budget_resync_share", "0.8"),
        ("health_port", "65536"),
        ("health_port", "tcp://10.0.0.1:80"),
        ("metrics_port", "8080"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: written})
    assert f"AOP_{name.upper()}" in str(caught.value)


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, resync_s="x", log_level="loud", edge_connect_to="y")
    assert [line.split(":")[0] for line in sorted(str(caught.value).splitlines())] == [
        "AOP_EDGE_CONNECT_TO",
        "AOP_LOG_LEVEL",
        "AOP_RESYNC_S",
    ]


def test_both_endpoints_may_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, health_port="0", metrics_port="0").health_port == 0


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().resync_s = 1  # type: ignore[misc]  # that is the point


def test_every_setting_is_described_and_says_its_unit() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        in_seconds = "seconds" if name.endswith("_s") else ""
        unit = "a second" if name.endswith("_per_s") else in_seconds
        assert unit in field.description, name


@pytest.mark.parametrize(
    ("redirections", "asked", "reached"),
    [
        ("", ("a.example.com", 443), ("a.example.com", 443)),
        ("::127.0.0.1:8443", ("a.example.com", 443), ("127.0.0.1", 8443)),
        ("A.example.com:443:127.0.0.1:8443", ("a.EXAMPLE.com", 443), ("127.0.0.1", 8443)),
        ("a.example.com:443:127.0.0.1:8443", ("b.example.com", 443), ("b.example.com", 443)),
        ("a.example.com:443:127.0.0.1:8443", ("a.example.com", 80), ("a.example.com", 80)),
        (":443::8443,:80::8080", ("a.example.com", 80), ("a.example.com", 8080)),
        ("a.example.com::127.0.0.2:,::127.0.0.1:1", ("a.example.com", 443), ("127.0.0.2", 443)),
    ],
)
def test_the_first_redirection_that_matches_decides(
    monkeypatch: pytest.MonkeyPatch,
    redirections: str,
    asked: tuple[str, int],
    reached: tuple[str, int],
) -> None:
    assert (
        redirected(load(monkeypatch, edge_connect_to=redirections).edge_connect_to, *asked)
        == reached
    )
