"""The watch layer's own decisions: what an object refers to, who is woken by what, and what Kopf is told."""

from __future__ import annotations

import copy
from typing import Any, cast

import kopf
import pytest

from aop.api import FINALIZER, WATCH_LABEL
from aop.clock import Clock
from aop.handlers import Slots, kopf_settings, references, register
from aop.observe.memory import Shelf
from aop.origins import ObjectKey
from aop.reconcile import Reconciler
from aop.settings import Settings
from aop.strays import Strays
from builders import KEY, NOW, TARGET

TOKEN = ObjectKey("edge", "cloudflare")
GENERATED = ObjectKey("edge", "example-com-aop")


def spec(**fields: Any) -> dict[str, Any]:
    """A raw spec, as an event brings it."""
    config_map = {"namespace": TARGET.namespace, "name": TARGET.name}
    return {
        "credentials": {"apiTokenSecretRef": {"name": "cloudflare", "key": "api-token"}},
        "origins": [{"name": "public", "ingressNginx": {"configMapRef": config_map}}],
        **fields,
    }


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (spec(), {TOKEN, GENERATED, TARGET}),
        (spec(certificate={"generate": {"secretName": "keys"}}), {TOKEN, ObjectKey("edge", "keys"), TARGET}),
        (spec(certificate={"secretRef": {"name": "theirs"}}), {TOKEN, ObjectKey("edge", "theirs"), GENERATED, TARGET}),
        (spec(origins=[]), {TOKEN, GENERATED}),
        (spec(origins=[{"name": "public"}, {"name": "half", "ingressNginx": {"configMapRef": {"name": "x"}}}]), {TOKEN, GENERATED}),
        (spec(credentials=None, certificate=None, origins=None), {GENERATED}),
        ({}, {GENERATED}),
    ],
)
def test_an_object_refers_to_what_its_spec_names_however_broken(raw: dict[str, Any], named: set[ObjectKey]) -> None:
    assert references(KEY.namespace, KEY.name, raw) == named


# --- waking ----------------------------------------------------------------------------------------------------------------------


def slots() -> Slots:
    nobody = cast("Reconciler", None)
    return Slots(nobody, cast("Strays", None), Clock())


def test_each_object_has_one_slot_until_it_is_gone() -> None:
    found = slots()
    slot = found.slot(KEY)
    assert found.slot(KEY) is slot
    found.drop(KEY)
    assert found.slot(KEY) is not slot
    found.drop(ObjectKey("edge", "never-heard-of"))


def test_kopfs_copies_of_the_memo_are_the_memo() -> None:
    """Kopf copies it for every object; a copied dict would give each its own."""
    found = slots()
    assert copy.copy(found) is found


def test_whoever_names_what_changed_is_woken_and_reads_it_anew() -> None:
    found = slots()
    mine, other = found.slot(KEY), found.slot(ObjectKey("shop", "example-org"))
    mine.references, other.references = frozenset({TOKEN}), frozenset({TARGET})
    for slot in (mine, other):
        slot.memory.secrets.setdefault(TOKEN, Shelf()).keep({}, NOW)
    found.wake_referrers(TOKEN)
    assert (mine.wake.is_set(), other.wake.is_set()) == (True, False)
    assert (len(mine.memory.secrets), len(other.memory.secrets)) == (0, 1)


def test_when_an_object_is_gone_the_others_look_for_their_rivals_anew() -> None:
    found = slots()
    slot = found.slot(KEY)
    slot.memory.rivals.keep((), NOW)
    found.wake_all()
    assert slot.wake.is_set()
    assert slot.memory.rivals.last is None


# --- what kopf is told -------------------------------------------------------------------------------------------------------------


def test_no_secret_and_no_config_map_is_listed_without_our_label() -> None:
    """There are too many, and most are nobody's business; the selector is the server's."""
    tuned = kopf_settings(Settings())
    selectors = {name: tuned.watching.label_selectors[name] for name in ("secrets.v1", "configmaps.v1")}
    assert selectors == dict.fromkeys(selectors, f"{WATCH_LABEL}=true")


def test_kopf_posts_nothing_peers_with_nobody_and_holds_our_finalizer() -> None:
    tuned = kopf_settings(Settings())
    assert (tuned.posting.enabled, tuned.peering.standalone, tuned.persistence.finalizer) == (False, True, FINALIZER)


@pytest.mark.parametrize(("namespaces", "scans"), [((), True), (("edge",), False)])
def test_only_a_cluster_wide_operator_scans_for_resources(namespaces: tuple[str, ...], scans: bool) -> None:
    assert kopf_settings(Settings(watch_namespaces=namespaces)).scanning.disabled is not scans


def test_there_are_no_handlers_that_compare_what_was_with_what_is() -> None:
    """Creation, update, resume and field handlers each lost data when they were tried (docs/adr/0002)."""
    registry = kopf.OperatorRegistry()
    register(registry, login=lambda **_: None)
    changing = registry._changing.get_all_handlers()
    assert [(handler.id, str(handler.reason)) for handler in changing] == [("teardown", "delete")]
    assert [handler.id for handler in registry._spawning.get_all_handlers()] == ["reconcile"]
    assert [handler.id for handler in registry._watching.get_all_handlers()] == ["wake", "wake-by-secret", "wake-by-configmap"]
