"""A knob that does not exist is an error, and not a test that tests nothing."""

from typing import Any

import pytest

from sandbox.ingress_nginx.knobs import NoKnobError, ReplicaKnobs


def test_what_is_not_turned_stays() -> None:
    assert ReplicaKnobs(reload_lag_s=2.0).turned({"hung": True}) == ReplicaKnobs(
        reload_lag_s=2.0, hung=True
    )


@pytest.mark.parametrize(
    "changes",
    [{"hangs": True}, {"hung": 1}, {"hung": None}, {"reload_lag_s": "2"}, {"reload_lag_s": True}],
    ids=str,
)
def test_a_knob_that_is_not_there_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NoKnobError, match=f"{next(iter(changes))}: .* is no knob"):
        ReplicaKnobs().turned(changes)
