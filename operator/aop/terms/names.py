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
"""Held on the object from before the first effect until everything is as it was found."""
RECORD_ANNOTATION = f"{GROUP}/record"
"""Compact JSON, no secrets: what the world will not tell later. Written by the operator only."""
ROTATE_ANNOTATION = f"{GROUP}/rotate"
"""A new value asks for a new key pair now; the value itself (a date, say) means nothing."""
WATCH_LABEL = f"{GROUP}/watch"
"""`true` on a Secret or ConfigMap makes a change of it act at once; without it, changes are seen
within 60 s."""
CLAIMED_LABEL = f"{GROUP}/claimed"
"""On what carries claims: the origin kind, so that claims whose object is gone are found again."""

FIELD_MANAGER = "aop-operator"
"""In whose name the operator writes; Kubernetes notes it for each field."""
CLAIMS_ANNOTATION = f"{GROUP}/claims"
"""On what an origin is configured by: every claim as data, from which our text is rendered."""
PATH_ANNOTATION = f"{GROUP}/path"
"""The random part of the check path; stays as long as any claim does."""
REVISION_ANNOTATION = f"{GROUP}/revision"
"""Counts our writes; the check path tells it."""
FOUND_ANNOTATION = f"{GROUP}/found"
"""What the last claim puts back."""
