"""Zone-level Authenticated Origin Pulls, kept by a Kubernetes operator.

The package is built in floors, and an import goes only downwards (import-linter checks it)::

    __main__                      composition root: settings -> clients -> kopf.operator(...)
    handlers                      with __main__ the only modules that import kopf
    reconcile                     the loop: observe, next_step, perform, status, delay
    observe | perform             effects; perform is the only writer
    cluster | cloudflare | probe  clients: the only modules that do I/O
    status | plan | crd           decisions, pure
    observed | steps              vocabulary, frozen dataclasses
    api                           the resource: pydantic models, names; the source of crds/
    origins | pki | errors        domain knowledge, pure; one module per origin kind
    clock | settings | metrics    built once in __main__ and passed in

Whoever wants to know what the operator does reads `aop.plan`: the rules are the rollout.
"""

from importlib.metadata import version

__version__ = version("aop-operator")
