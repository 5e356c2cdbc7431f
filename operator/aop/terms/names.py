"""The names under which the resource and its marks are known to Kubernetes.

Documented, never changed.
"""

from __future__ import annotations

GROUP = "aop-operator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "AuthenticatedOriginPull"
PLURAL = "authenticatedoriginpulls"
SINGULAR = "authenticatedoriginpull"
SHORT_NAME = "aop"

FINALIZER = f"authenticatedoriginpull.{GROUP}/teardown"
"""The operator keeps it on the object from before the first effect until everything is as the
operator found it."""
RECORD_ANNOTATION = f"{GROUP}/record"
"""Compact JSON without secrets: what the operator could not find out later. Only the operator
writes it."""
ROTATE_ANNOTATION = f"{GROUP}/rotate"
"""A new value asks for a new key pair now; the value itself (a date, say) means nothing."""
WATCH_LABEL = f"{GROUP}/watch"
"""If a Secret or ConfigMap has it with the value `true`, the operator acts on a change of that
object at once; without the label, within a minute, or later if there are more than twelve such
Secrets."""
CLAIMED_LABEL = f"{GROUP}/claimed"
"""On an object that carries claims: the origin kind. By this label the operator finds claims whose
AuthenticatedOriginPull is gone."""

FIELD_MANAGER = "aop-operator"
"""The name under which the operator writes; Kubernetes notes it for each field."""
CLAIMS_ANNOTATION = f"{GROUP}/claims"
"""On the object that configures an origin: every claim as data, from which the operator renders
its text."""
PATH_ANNOTATION = f"{GROUP}/path"
"""The random part of the check path; it stays for as long as the object carries any claim."""
REVISION_ANNOTATION = f"{GROUP}/revision"
"""Counts the operator's writes; the check path shows the one that a replica runs."""
FOUND_ANNOTATION = f"{GROUP}/found"
"""What was in the keys before the first claim; the operator puts it back when it takes out the last
claim."""
ROLLED_OUT_ANNOTATION = f"revision.{GROUP}/"
"""On a pod template, with the name of the operator's ConfigMap behind it: the configuration that
its pods start with. When it changes, the workload's controller replaces the pods."""
