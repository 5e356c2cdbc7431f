"""What a user writes about an origin: one model per origin kind, and `Origin`, which names exactly one of them.

Part of the resource (`aop.api` puts it under `spec.origins`), but kept here so that adding an
origin kind stays within this package: its model and its field in `Origin` here, its driver in a
package of its own.
"""

from __future__ import annotations

from enum import StrEnum

from aop.schema import LabelName, Model, ObjectName, Rule
from aop.terms import ObjectKey


class Trust(StrEnum):
    """What an ingress-nginx origin compares a client certificate with."""

    PIN = "Pin"
    """The exact leaf, current and next, per zone."""


class ForeignText(StrEnum):
    """What to do with text that somebody else has put into the snippet keys of the ConfigMap."""

    REFUSE = "Refuse"
    """Leave it alone and say so: nothing is written."""
    MERGE = "Merge"
    """Keep it byte for byte, around our own block."""


class ConfigMapRef(Model):
    """The ConfigMap that a controller reads."""

    namespace: LabelName
    """Namespace of the ConfigMap; it may be another than that of the AuthenticatedOriginPull."""
    name: ObjectName
    """Name of the ConfigMap, as the controller's --configmap argument gives it."""

    @property
    def key(self) -> ObjectKey:
        """Where it is."""
        return ObjectKey(self.namespace, self.name)


class IngressNginx(Model):
    """An ingress-nginx controller, driven through its ConfigMap (http-snippet and server-snippet), without a restart of its pods."""

    config_map_ref: ConfigMapRef
    """The ConfigMap that configures the controller; a Ready controller pod must name it in its
    --configmap argument."""
    trust: Trust = Trust.PIN
    """What the origin compares a client certificate with. Pin: the exact leaf, current and next, of
    this zone only."""
    foreign_text: ForeignText = ForeignText.REFUSE
    """What to do when somebody else's text stands in the snippet keys. Refuse: write nothing and
    say so. Merge: keep it byte for byte around our block."""


_KINDS = ("ingressNginx",)


class Origin(Model):
    """One place that the zone's requests arrive at: a name and exactly one origin kind."""

    name: LabelName
    """Name of the origin, unique within the object; messages and status speak of it by this name."""
    ingress_nginx: IngressNginx | None = None
    """The origin is an ingress-nginx controller."""

    rules = (
        Rule(
            f"[{', '.join(f'has(self.{kind})' for kind in _KINDS)}].exists_one(x, x)",
            f"write exactly one origin kind: {', '.join(_KINDS)}",
            lambda origin: len(origin.kinds) == 1,
        ),
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are set, by their names in the resource; exactly one in a valid object."""
        fields = type(self).model_fields
        return tuple(
            str(info.alias)
            for name, info in fields.items()
            if info.alias in _KINDS and getattr(self, name) is not None
        )

    @property
    def kind(self) -> str:
        """The one kind that is set, by its name in the resource, such as `ingressNginx`."""
        return self.kinds[0]

    @property
    def target(self) -> ObjectKey:
        """The object that the origin is configured by."""
        (spec,) = (kind for kind in (self.ingress_nginx,) if kind is not None)
        return spec.config_map_ref.key
