"""Servers that run as pods of a workload: one policy, and a dialect for each server.

The user adds a few fixed lines to the server's own configuration, once: they take in files of a
ConfigMap that is ours. What changes afterwards are only these files. They are read when a pod
starts, so the workload's controller is asked to replace its pods, or somebody else has the server
reload. Pure: Kubernetes JSON objects in, values or whole objects to write out. Each module has one
question::

    spec         what does a user write of it
    dialect      what has a server to be told, and how does it refuse
    nginx        how is that said to nginx
    caddy        how is that said to Caddy
    apache       how is that said to Apache
    haproxy      how is that said to HAProxy
    traefik      how is that said to Traefik
    routes       which of Traefik's routers stand beside ours
    others       which Ingresses and routes of the Gateway API do
    stored       what does the ConfigMap say of us, and what is to be written
    pods         which pods read it, and whose are they
    templates    which pods will read it next, and how are they replaced
    remarks      what do visitors lose while pods are replaced
    failures     why do new pods not start
    site         what do all these say together
    driver       how does the rest of the operator get at it
"""

from aop.origins.workload.driver import APACHE, CADDY, HAPROXY, NGINX, TRAEFIK

__all__ = ["APACHE", "CADDY", "HAPROXY", "NGINX", "TRAEFIK"]
