"""A change of the pod template that the API server refuses, because a controller has written the same object meanwhile: it goes out again at once."""

from __future__ import annotations

import pytest

import lives
from faults.conftest import proxied_with
from sandbox.composition import HOSTS, Layout, manifests_for
from sandbox.proxy.faults import Answer, Match

pytestmark = [pytest.mark.timeout(300)]

ROLLOUT = Match(method="PATCH", path="/deployments/")


def test_a_relaxation_does_not_wait_for_it() -> None:
    """Onboarding does not either; what it costs is seen here."""
    layout = Layout(workload="Deployment", server="nginx", manifests=manifests_for("nginx"))
    with proxied_with(layout) as proxied:
        scene = proxied.scene
        scene.operator.start()
        lives.apply(scene)
        scene.until_enforced(within_s=lives.WITHIN_S)
        refused = proxied.kubernetes.rule(ROLLOUT, Answer.kubernetes(409, "Conflict"), times=2)
        with scene.presenting_nothing(*HOSTS):
            scene.until_relaxed(within_s=lives.RELAXED_WITHIN_S)
        assert refused.fired == 2
        proxied.clear()
        scene.remove(within_s=lives.WITHIN_S)
