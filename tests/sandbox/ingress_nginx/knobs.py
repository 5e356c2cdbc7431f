"""What a test may do to a replica."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self


class NoKnobError(ValueError):
    """There is no such knob, or it cannot be turned that far. The message has all of them."""


@dataclass(frozen=True, slots=True)
class ReplicaKnobs:
    """How one replica behaves; the default is an ordinary one."""

    paused: bool = False
    """Its controller makes no sync; its nginx goes on with what it has."""
    reload_lag_s: float = 0.0
    """Between `nginx -t` and everything that follows: the controller itself is slow."""
    load_lag_s: float = 0.0
    """Between the order to reload, which the Event tells at once, and the new workers: nginx is
    slow to load."""
    endpoints_lag_s: float = 0.0
    """From Ready to the first endpoints: until then the application's paths answer 503, and nginx's
    own answers come. Only when it starts."""
    hung: bool = False
    """SIGSTOP for nginx, master and workers: connections are accepted and nothing is answered. The
    Pod stays as Ready as it is."""
    cut_off: bool = False
    """Its node has lost the API server: the Pod is NotReady, the controller sees no change any more
    and sends no Event, and nginx serves on."""
    unready: bool = False
    """The Pod is NotReady, and that is all."""

    def turned(self, changes: dict[str, Any]) -> Self:
        """These, with some of them changed.

        Raises:
            NoKnobError: a name or a value that makes no sense.
        """
        kinds = {
            field.name: (bool,) if isinstance(field.default, bool) else (int, float)
            for field in fields(self)
        }
        for name, value in changes.items():
            if type(value) not in kinds.get(name, ()):
                known = ", ".join(
                    f"{one} ({'true or false' if kind == (bool,) else 'seconds'})"
                    for one, kind in kinds.items()
                )
                raise NoKnobError(f"{name}: {value!r} is no knob; there are {known}")
        return replace(self, **changes)
