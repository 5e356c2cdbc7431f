"""Adding up what was granted and what was asked for."""

from datetime import UTC, datetime

import pytest

from sandbox.kubernetes.audit import AuditEvent
from sandbox.kubernetes.permissions import Grant, ServiceAccount, unused


def asked(
    verb: str,
    resource: str,
    *,
    group: str = "",
    subresource: str = "",
    namespace: str = "",
    name: str = "",
    allowed: bool = True,
) -> AuditEvent:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return AuditEvent(
        now,
        "operator",
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        "/",
        allowed=allowed,
        code=200 if allowed else 403,
    )


EVERYWHERE = Grant("", "", "configmaps", "get")
HERE = Grant("edge", "", "configmaps", "get")
NAMED = Grant("edge", "", "configmaps", "get", ("one",))
STATUS = Grant("", "aop-operator.dev", "authenticatedoriginpulls/status", "patch")


@pytest.mark.parametrize(
    ("grant", "event", "used"),
    [
        (EVERYWHERE, asked("get", "configmaps", namespace="edge", name="one"), True),
        (EVERYWHERE, asked("list", "configmaps", namespace="edge"), False),
        (EVERYWHERE, asked("get", "secrets", namespace="edge"), False),
        (HERE, asked("get", "configmaps", namespace="edge", name="one"), True),
        (HERE, asked("get", "configmaps", namespace="other", name="one"), False),
        (HERE, asked("get", "configmaps", namespace="edge", name="one", allowed=False), False),
        (NAMED, asked("get", "configmaps", namespace="edge", name="one"), True),
        (NAMED, asked("get", "configmaps", namespace="edge", name="two"), False),
        (
            STATUS,
            asked(
                "patch", "authenticatedoriginpulls", group="aop-operator.dev", subresource="status"
            ),
            True,
        ),
        (STATUS, asked("patch", "authenticatedoriginpulls", group="aop-operator.dev"), False),
        (STATUS, asked("patch", "authenticatedoriginpulls", subresource="status"), False),
    ],
)
def test_a_grant_is_used_by_exactly_the_requests_that_need_it(
    grant: Grant, event: AuditEvent, used: bool
) -> None:
    assert (unused([grant], [event]) == ()) is used


def test_an_account_is_least_only_when_something_is_granted_and_all_of_it_needed() -> None:
    assert ServiceAccount((HERE,), (), ()).least
    assert not ServiceAccount((), (), ()).least
    assert not ServiceAccount((HERE,), (asked("get", "secrets", allowed=False),), ()).least
    assert not ServiceAccount((HERE,), (), (HERE,)).least
