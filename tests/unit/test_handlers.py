"""What Kopf is told, and what it is not asked for."""

from __future__ import annotations

import kopf
import pytest

from aop.api import FINALIZER, WATCH_LABEL
from aop.handlers import (
    DEFINITIONS,
    IDLE_S,
    LISTED_AT_ONCE,
    WATCHED,
    kopf_settings,
    register,
)
from aop.settings import Settings


def test_no_secret_and_no_config_map_is_listed_without_our_label() -> None:
    """There are too many, and most are nobody's business; the selector is the server's."""
    tuned = kopf_settings(Settings())
    selectors = {
        name: tuned.watching.label_selectors[name] for name in ("secrets.v1", "configmaps.v1")
    }
    assert selectors == dict.fromkeys(selectors, f"{WATCH_LABEL}=true")


def test_kopf_posts_nothing_peers_with_nobody_and_does_not_know_our_finalizer() -> None:
    """It takes off what it knows and holds for no handler."""
    tuned = kopf_settings(Settings())
    assert not tuned.posting.enabled
    assert tuned.peering.standalone
    assert tuned.persistence.finalizer != FINALIZER


@pytest.mark.parametrize(("namespaces", "scans"), [((), True), (("edge",), False)])
def test_only_a_cluster_wide_operator_scans_for_resources(
    namespaces: tuple[str, ...], scans: bool
) -> None:
    assert kopf_settings(Settings(watch_namespaces=namespaces)).scanning.disabled is not scans


def test_nothing_makes_kopf_hold_all_objects_at_once() -> None:
    """It lists them in parts, lets go of each, and reads no definition but ours."""
    tuned = kopf_settings(Settings())
    assert tuned.watching.chunk_size == LISTED_AT_ONCE
    assert tuned.queueing.idle_timeout == IDLE_S
    definitions = tuned.watching.field_selectors[DEFINITIONS]
    assert definitions == "metadata.name=authenticatedoriginpulls.aop-operator.dev"


def test_kopf_has_no_handler_that_writes_holds_or_compares() -> None:
    """Creation, update, resume and field handlers each lost data when they were tried (docs/adr/0002)."""
    for kind in WATCHED:
        registry = kopf.OperatorRegistry()
        register(registry, kind, login=lambda **_: None, tell=lambda *_: None)
        assert registry._changing.get_all_handlers() == []
        assert registry._spawning.get_all_handlers() == []
        (handler,) = registry._watching.get_all_handlers()
        assert handler.selector is not None
        assert handler.selector.any_name == kind.plural
