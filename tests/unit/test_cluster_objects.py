"""Of the objects that are kept, who has written which field is not."""

from __future__ import annotations

from aop.cluster import without_writers
from aop.observe.memory import Memory

POD = {"metadata": {"name": "a", "uid": "1"}, "spec": {}}
WRITTEN = {
    "metadata": {**POD["metadata"], "managedFields": [{"manager": "kubelet"}]},
    "spec": {},
}


def test_everything_else_is_as_it_was() -> None:
    assert without_writers(WRITTEN) == POD
    assert WRITTEN["metadata"]["managedFields"], "the caller's is not changed"


def test_an_object_without_it_is_the_very_same() -> None:
    """Whoever has made something of it need not do so again."""
    assert without_writers(POD) is POD
    assert without_writers({}) == {}


def test_a_memory_keeps_the_object_without_it() -> None:
    memory = Memory(uid="1")
    memory.learn(WRITTEN, 0.0)
    assert memory.manifest == POD
