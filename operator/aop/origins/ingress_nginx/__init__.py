"""The ingress-nginx driver (kubernetes/ingress-nginx and its forks).

The first and the reference origin kind. Driven through the ConfigMap of its controller only, with
no restart of its pods. Pure: Kubernetes JSON objects in, values or whole objects to write out. Each
module has one question::

    options      what does the ConfigMap say of the controller itself
    text         how is that said to nginx
    syntax       where does a statement begin and end
    residue      what in a key is ours, whatever has happened to it
    snippets     where does our block stand among the text of others
    lint         can that text stand beside ours
    stored       what does the ConfigMap say of us
    foreign      what in the ConfigMap forbids our text
    publishing   what is to be written
    replicas     which pods read it
    rejection    whose fault is it that they do not take it
    ingresses    what does one Ingress make of the controller, and would it refuse our leaf
    servers      whose hosts are those, and what is beside them
    remarks      what should a person know beforehand
    spec         what does a user write of it
    site         what do all these say together
    driver       how does the rest of the operator get at it
"""

from aop.origins.ingress_nginx.driver import INGRESS_NGINX

__all__ = ["INGRESS_NGINX"]
