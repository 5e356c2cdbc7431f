"""Of the objects that are kept, who has written which field is not."""

from __future__ import annotations

import json

from aop.cluster import lean, parsed
from aop.observe.memory import Memory

POD = {"metadata": {"name": "a", "uid": "1"}, "spec": {}}
WRITTEN = {
    "metadata": {**POD["metadata"], "managedFields": [{"manager": "kubelet"}]},
    "spec": {},
}


def test_everything_else_is_as_it_was() -> None:
    assert lean(WRITTEN) == POD == lean(POD)
    assert WRITTEN["metadata"]["managedFields"], "the caller's is not changed"


def test_of_what_is_listed_nobody_learns_who_has_written_it() -> None:
    listed = {"items": [WRITTEN, POD], "metadata": {"resourceVersion": "7"}}
    assert parsed(json.dumps(listed)) == {**listed, "items": [POD, POD]}


def test_what_somebody_else_calls_so_is_listed() -> None:
    """A ConfigMap whose object is gone is listed, and then replaced as a whole."""
    data = {"managedFields": "on", "uid": "1"}
    listed = {"items": [{**POD, "data": data, "spec": {"managedFields": []}}]}
    assert parsed(json.dumps(listed)) == listed


def test_what_kubectl_has_applied_is_not_kept_a_second_time() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "ours"}
    pod = {"metadata": {"name": "a", "annotations": applied}}
    assert lean(pod) == {"metadata": {"name": "a", "annotations": {"note": "ours"}}}
    assert len(applied) == 2, "the caller's is not changed"
    assert lean({"metadata": {"annotations": None}}) == {"metadata": {"annotations": None}}


def test_what_is_kept_says_the_same_and_shares_its_words_with_others() -> None:
    text = '{"metadata": {"name": "a"}, "status": {"conditions": [{"reason": "AsExpected", "count": 2}]}}'
    one, other = (lean(json.loads(text)) for _ in range(2))
    assert one == other == json.loads(text)
    (mine,), (theirs,) = (seen["status"]["conditions"] for seen in (one, other))
    assert mine["reason"] is theirs["reason"]
    assert {id(name) for name in mine} == {id(name) for name in theirs}
    assert mine is not theirs


def test_the_same_object_shown_again_is_the_very_one_that_is_kept() -> None:
    """Of thousands that a list shows again, none is made anew."""
    memory = Memory(uid="1")
    memory.learn({"metadata": {"name": "a", "resourceVersion": "7"}}, 0.0)
    kept = memory.manifest
    memory.learn({"metadata": {"name": "a", "resourceVersion": "7"}}, 5.0)
    assert memory.manifest is kept
    assert memory.shown_s == 5.0
    memory.learn({"metadata": {"name": "a", "resourceVersion": "6"}}, 9.0)
    assert (memory.manifest, memory.shown_s) == (kept, 5.0)


def test_a_memory_keeps_the_object_without_it() -> None:
    memory = Memory(uid="1")
    memory.learn(WRITTEN, 0.0)
    assert memory.manifest == POD
