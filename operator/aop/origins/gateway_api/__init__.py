"""A Gateway of the Gateway API whose proxies are Envoy Gateway's.

The Gateway API itself judges client certificates in the handshake, by authorities, for a whole
port. Envoy Gateway can do better: an `EnvoyExtensionPolicy` of the user's has every route of the
Gateway run the Lua of a ConfigMap, which sees each request and the exact leaf (docs/adr/0024). The
text there is ours. Envoy Gateway hands it to the proxies, so that no pod is replaced. What is not
said here is as with the servers in workloads. Pure: Kubernetes JSON objects in, values or whole
objects to write out. Each module has one question::

    spec         what does a user write of it
    envoy        how is what the claims mean said to Envoy
    proxies      which pods serve the Gateway
    gateways     whose is the Gateway, and which names do its listeners take
    routes       which hosts does it serve
    policies     does Envoy Gateway take the text, and what runs without it
    site         what do all these say together
    driver       how does the rest of the operator get at it
"""

from aop.origins.gateway_api.driver import GATEWAY_API

__all__ = ["GATEWAY_API"]
