"""The ingress-nginx driver (kubernetes/ingress-nginx and its forks): the first and the reference origin kind.

Driven through the ConfigMap of its controller only, with no restart of its pods. Pure: Kubernetes JSON objects in, values or whole
objects to write out. Each module has one question::

    options      what does the ConfigMap say of the controller itself
    zones        what do all claims together mean for a host
    text         how is that said to nginx
    check        what does the check path answer
    syntax       where does a statement begin and end
    residue      what in a key is ours, whatever has happened to it
    snippets     where does our block stand among the text of others
    lint         can that text stand beside ours
    notation     how is a claim written down
    stored       what does the ConfigMap say of us
    foreign      what in the ConfigMap forbids our text
    publishing   what is to be written
    room         is there room for it
    replicas     which pods read it
    rejection    whose fault is it that they do not take it
    ingresses    whose hosts are those, and would they refuse our leaf
"""

from aop.origins.ingress_nginx.check import CheckAnswer, check_path, gate_path, parse
from aop.origins.ingress_nginx.foreign import objections
from aop.origins.ingress_nginx.ingresses import (
    hosts_under,
    left_open,
    served_by,
    server_of,
    verifier_of,
    wildcards_under,
)
from aop.origins.ingress_nginx.options import Options
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.rejection import Rejection, rejected_by
from aop.origins.ingress_nginx.replicas import Replica, readers, replicas, unwatched
from aop.origins.ingress_nginx.snippets import Writer
from aop.origins.ingress_nginx.stored import Entry, Stored, read
from aop.origins.ingress_nginx.text import KEYS, render, too_long
from aop.origins.ingress_nginx.zones import entries, hosts_of_zone, labels
from aop.origins.spec import ForeignText

__all__ = [
    "KEYS",
    "CheckAnswer",
    "Entry",
    "ForeignText",
    "Options",
    "Rejection",
    "Replica",
    "Stored",
    "Writer",
    "check_path",
    "entries",
    "gate_path",
    "hosts_of_zone",
    "hosts_under",
    "labels",
    "left_open",
    "objections",
    "parse",
    "publish",
    "read",
    "readers",
    "rejected_by",
    "render",
    "replicas",
    "served_by",
    "server_of",
    "too_long",
    "unwatched",
    "verifier_of",
    "wildcards_under",
    "withdraw",
]
