"""Where the key pair comes from: `spec.certificate`, its two sources and what they take."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from aop.pki import Algorithm
from aop.schema import DURATION, NAMES_AN_OBJECT, Duration, Model, ObjectName, Rule, timedelta_of

KEY_SIZES: dict[Algorithm, tuple[int, ...]] = {
    Algorithm.ECDSA: (256, 384, 521),
    Algorithm.RSA: (2048, 3072, 4096),
}
"""Key sizes in bits. Cloudflare is known to take P-256, P-521 and RSA 4096; no key type is
documented as refused (facts: cloudflare#key-types)."""
DEFAULT_SIZE = {Algorithm.ECDSA: 256, Algorithm.RSA: 4096}


def _quoted(values: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, values))}]"


def _ordered(shorter: str, longer: str, relation: str) -> str:
    # A malformed duration has its own message; CEL would add an evaluation error to it.
    return f"![{shorter}, {longer}].all(d, d.matches(r'^({DURATION})$')) || duration({shorter}) {relation} duration({longer})"


class Generate(Model):
    """How key pairs are generated.

    A change applies to the next one; the annotation aop-operator.dev/rotate asks for it now.

    The authority's key is kept in a second Secret, named like the first with -ca at its end.
    """

    secret_name: Annotated[
        str, StringConstraints(min_length=1, max_length=250), NAMES_AN_OBJECT
    ] = Field(default_factory=str)
    """Name of the Secret that holds the leaf and its key, in the namespace of the object. The
    default is the object's name with -aop at its end."""
    algorithm: Algorithm = Algorithm.ECDSA
    """Key algorithm. The operator makes an ECDSA key at once, and an RSA key within seconds. RSA
    with size 4096 is the recipe of Cloudflare's guide."""
    size: int = Field(
        default_factory=lambda data: DEFAULT_SIZE[data["algorithm"]],
        json_schema_extra={"format": "int32"},
    )
    """Key size in bits: 256, 384 or 521 for ECDSA (default 256); 2048, 3072 or 4096 for RSA
    (default 4096)."""
    duration: Duration = "17520h"
    """How long a leaf is valid, as a duration such as 17520h (two years)."""
    renew_before: Duration = "1080h"
    """How long before the end of a leaf the operator replaces it, as a duration such as 1080h (45
    days). Cloudflare mails a warning 30 days before the end."""
    authority_duration: Duration = "43824h"
    """How long the authority that signs the leaves is valid, as a duration such as 43824h (five
    years)."""

    rules = (
        Rule(
            f"!has(self.size) || (self.algorithm == 'ECDSA' ? self.size in {_quoted(KEY_SIZES[Algorithm.ECDSA])} : "
            f"self.size in {_quoted(KEY_SIZES[Algorithm.RSA])})",
            "write a size that fits the algorithm: 256, 384 or 521 for ECDSA, 2048, 3072 or 4096 for RSA",
            lambda it: it.size in KEY_SIZES[it.algorithm],
            ".size",
        ),
        Rule(
            _ordered("self.renewBefore", "self.duration", "<"),
            "write a renewBefore that is shorter than duration",
            lambda it: it.renew_ahead < it.leaf_lifetime,
            ".renewBefore",
        ),
        Rule(
            _ordered("'24h'", "self.renewBefore", "<"),
            "write a renewBefore of more than 24h: a leaf without a successor stops being required 24 h before its end",
            lambda it: timedelta(hours=24) < it.renew_ahead,
            ".renewBefore",
        ),
        Rule(
            _ordered("self.duration", "self.authorityDuration", "<="),
            "write a duration that is not longer than authorityDuration",
            lambda it: it.leaf_lifetime <= it.authority_lifetime,
            ".duration",
        ),
    )

    @property
    def leaf_lifetime(self) -> timedelta:
        """`duration` as a value."""
        return timedelta_of(self.duration)

    @property
    def renew_ahead(self) -> timedelta:
        """`renewBefore` as a value."""
        return timedelta_of(self.renew_before)

    @property
    def authority_lifetime(self) -> timedelta:
        """`authorityDuration` as a value."""
        return timedelta_of(self.authority_duration)


class SecretRef(Model):
    """A Secret in the namespace of the AuthenticatedOriginPull."""

    name: ObjectName
    """Name of the Secret, with tls.crt, tls.key and ca.crt in it, as cert-manager writes them."""


class CertificateChoice(Model):
    """Where the key pair comes from that Cloudflare presents.

    One of generate and secretRef; without either, generate with all its defaults.
    """

    secret_ref: SecretRef | None = None
    """The operator reads the key pair from a Secret that something else, such as cert-manager,
    fills and renews."""
    generate: Generate | None = Field(
        default_factory=lambda data: None if data.get("secret_ref") else Generate()
    )
    """The operator generates the key pair, and renews it in time. A change of the recipe applies to
    the next key pair; a new value of the annotation aop-operator.dev/rotate asks for that key pair
    now."""
    replace_foreign: bool = False
    """Your consent that the operator outranks what the zone already presents: a certificate that
    somebody else uploaded, or Cloudflare's shared one where global Authenticated Origin Pulls are
    on. An origin that requires that certificate, and is not listed in spec.origins, refuses the
    edge from then on."""

    rules = (
        Rule(
            "!(has(self.generate) && has(self.secretRef))",
            "write one of generate and secretRef, and not both",
            lambda it: (it.generate is None) != (it.secret_ref is None),
        ),
    )
