"""The words that all floors above share.

Which object, which host, how strict, which leaf, and the names in Kubernetes. They are at the
bottom, so that nobody has to import an origin kind for a word.
"""

from aop.terms.claims import Claim, Mode, Pin
from aop.terms.hostnames import covers, is_host
from aop.terms.keys import ObjectKey, Target
from aop.terms.kinds import Kind

__all__ = ["Claim", "Kind", "Mode", "ObjectKey", "Pin", "Target", "covers", "is_host"]
