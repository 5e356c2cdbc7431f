"""What a user writes about an ingress-nginx origin."""

from __future__ import annotations

from enum import StrEnum

from aop.schema import LabelName, Model, ObjectName
from aop.terms import ObjectKey

NAME = "ingressNginx"
"""The kind's name in the resource."""


class ForeignText(StrEnum):
    """What to do with text that somebody else has put into the snippet keys of the ConfigMap."""

    REFUSE = "Refuse"
    """Leave it alone and say so: nothing is written."""
    MERGE = "Merge"
    """Keep it byte for byte, around our own block."""


class ControllerConfigMapRef(Model):
    """The ConfigMap that a controller reads."""

    namespace: LabelName
    """Namespace of the ConfigMap; it may differ from that of the AuthenticatedOriginPull."""
    name: ObjectName
    """Name of the ConfigMap, as the controller's --configmap argument gives it."""

    @property
    def key(self) -> ObjectKey:
        """Where it is."""
        return ObjectKey(self.namespace, self.name)


class IngressNginx(Model):
    """An ingress-nginx controller, driven through its ConfigMap without a restart of its pods.

    Our text stands in http-snippet and server-snippet.
    """

    config_map_ref: ControllerConfigMapRef
    """The ConfigMap that configures the controller; a Ready controller pod must name it in its
    --configmap argument."""
    foreign_text: ForeignText = ForeignText.REFUSE
    """What the operator does when the snippet keys hold somebody else's text. Refuse: it writes
    nothing and says so. Merge: it keeps that text byte for byte around its own block."""
