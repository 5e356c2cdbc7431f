"""Zone-level Authenticated Origin Pulls, kept by a Kubernetes operator.

docs/architecture.md#the-floors has the picture of the package: an import goes only downwards, and
import-linter checks it. Whoever wants to know what the operator does reads `aop.plan`: the rules
are the rollout.
"""

from importlib.metadata import version

__version__ = version("aop-operator")
