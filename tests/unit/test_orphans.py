"""Claims whose object is gone: which of those on a ConfigMap are orphaned, where we would know it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.ingress_nginx.publishing import publish
from aop.origins.ingress_nginx.spec import ForeignText
from aop.orphans import orphaned_claims
from builders import ASKING, REQUIRING, TARGET, UID

OTHER = replace(
    ASKING, uid="other", owner="shop/example-org", zone="example.org", patterns=("example.org",)
)


def config_map() -> dict[str, Any]:
    body: dict[str, Any] = {"metadata": {"namespace": "ingress-nginx", "name": "controller"}}
    for one in (REQUIRING, OTHER):
        body = publish(body, one, foreign=ForeignText.REFUSE, token_if_new="k3y0fth3path")
    return body


@pytest.mark.parametrize(
    ("living", "namespaces", "orphaned"),
    [
        ({UID, "other"}, (), []),
        ({UID}, (), ["other"]),
        (set(), (), [UID, "other"]),
        (set(), ("edge",), [UID]),
        ({UID}, ("edge",), []),
        (set(), ("elsewhere",), []),
    ],
)
def test_a_claim_is_orphaned_when_nobody_living_makes_it(
    living: set[str], namespaces: tuple[str, ...], orphaned: list[str]
) -> None:
    """Of objects in namespaces that we do not serve we cannot know whether they live: another operator may."""
    assert [
        claim.uid
        for claim in orphaned_claims(INGRESS_NGINX, TARGET, config_map(), living, namespaces)
    ] == orphaned


def test_a_config_map_without_claims_has_no_orphaned_claims() -> None:
    assert orphaned_claims(INGRESS_NGINX, TARGET, {}, set()) == []
