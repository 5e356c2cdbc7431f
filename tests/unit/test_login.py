"""How Kopf's own client gets into the cluster that the pod runs in, and where the operator's own Events stand."""

from pathlib import Path

import pytest

from aop.__main__ import home_of, in_cluster, lease_of
from aop.settings import Settings, SettingsError
from aop.terms import ObjectKey

ADDRESS = {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    for name, text in {"token": "one\n", "ca.crt": "", "namespace": "aop-system"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_pod_logs_in_by_address_with_the_mounted_token(mounted: Path) -> None:
    login = in_cluster(ADDRESS, mounted)
    assert login is not None
    assert (login.server, login.token, login.ca_path) == (
        "https://192.0.2.1:443",
        "one",
        str(mounted / "ca.crt"),
    )
    assert login.default_namespace == "aop-system"


def test_an_ipv6_address_stands_in_brackets(mounted: Path) -> None:
    login = in_cluster({**ADDRESS, "KUBERNETES_SERVICE_HOST": "2001:db8::1"}, mounted)
    assert login is not None
    assert login.server == "https://[2001:db8::1]:443"


def test_a_renewed_token_is_the_one_that_counts(mounted: Path) -> None:
    in_cluster(ADDRESS, mounted)
    (mounted / "token").write_text("two\n")
    login = in_cluster(ADDRESS, mounted)
    assert login is not None
    assert login.token == "two"


def test_outside_a_pod_there_is_no_such_account(mounted: Path, tmp_path: Path) -> None:
    assert in_cluster({}, mounted) is None
    assert in_cluster(ADDRESS, tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("in_pod", "setting", "namespace"),
    [
        (True, "", "aop-system"),
        (True, "elsewhere", "elsewhere"),
        (False, "elsewhere", "elsewhere"),
        (False, "", None),
    ],
)
def test_the_operators_own_events_stand_where_it_runs(
    mounted: Path, tmp_path: Path, in_pod: bool, setting: str, namespace: str | None
) -> None:
    home = home_of(Settings(namespace=setting), mounted if in_pod else tmp_path / "nothing")
    assert (home.key.namespace if home else None) == namespace
    if home is not None:
        assert (home.kind, home.key.name == "aop-operator") == ("Pod", not in_pod)


def test_the_lease_is_where_the_operator_runs(mounted: Path) -> None:
    settings = Settings(lease_name="one-of-two")
    assert lease_of(settings, home_of(settings, mounted)) == ObjectKey("aop-system", "one-of-two")


def test_who_does_not_know_where_it_runs_is_told_what_to_set(tmp_path: Path) -> None:
    """Two processes that each take themselves for the only one would write against each other."""
    nowhere = home_of(Settings(), tmp_path)
    with pytest.raises(SettingsError, match=r"AOP_NAMESPACE.*AOP_ELECTION=false"):
        lease_of(Settings(), nowhere)
    assert lease_of(Settings(election=False), nowhere).namespace == ""
