"""What tests and people can turn on the double: every delay, and every behaviour of which the real one is not known. Pure models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Strict(BaseModel):
    """A model that refuses what it does not know, so that a misspelt knob is an error and not a test that tests nothing."""

    model_config = ConfigDict(extra="forbid")


class OriginListener(Strict):
    """Where one replica of an origin listens: what Cloudflare calls port 443 and port 80 of an address."""

    address: str
    https_port: int
    http_port: int


class Traffic(Strict):
    """What decides besides where a zone's requests go, each thing as the API shows it."""

    dns_records: list[dict[str, Any]] = []
    rules: dict[str, list[dict[str, Any]]] = {}
    """By phase; a phase that is missing has no ruleset."""
    load_balancers: list[dict[str, Any]] = []
    pools: list[dict[str, Any]] = []
    """The account's, as those of `monitors`."""
    monitors: list[dict[str, Any]] = []


class Knobs(Strict):
    """Everything that concerns the API and what the edge makes of its state. Times are seconds.

    The defaults are what others have seen at Cloudflare (facts: cloudflare#delays).
    """

    initializing_s: Seconds = 0
    """How long an upload stays `initializing` before `pending_deployment`."""
    deploy_s: Seconds | None = 1
    """From upload to the end of `pending_deployment`; None: never."""
    deploy_ends: Literal["active", "deployment_timed_out"] = "active"
    delete_s: Seconds | None = 10
    """From DELETE to the end of `pending_deletion`; None: never."""
    delete_ends: Literal["deleted", "deletion_timed_out"] = "deleted"
    list_lag_s: Seconds = 0
    """How old the state is that the list of certificates shows."""
    ssl_s: Seconds = 0
    """How long a change of the SSL mode takes to reach the edge; the API says the new value at
    once."""
    mutation_s: Seconds = 0
    """How long one upload or delete takes to be answered; another one meanwhile gets 409."""
    busy_s: Seconds = 0
    """How long the zone stays busy after that."""
    void_s: Seconds = 0
    """How long voiding an association takes."""
    serialise_settings: bool = False
    """Whether PUT of the enablement takes part in that."""
    empty_list_is_null: bool = True
    shuffle_list: bool = True
    certificates_per_page: int | None = Field(default=None, ge=1)
    """How many certificates a page of the list shows; None: there are no pages."""
    certificate_text: Literal["as it was", "without newline", "with CRLF", "with its issuer"] = (
        "as it was"
    )
    """How the certificate comes back."""
    lasting_1406: bool = False
    """Whether every upload is refused as one that is there."""
    resurrect: bool = False
    """Whether the PEM of a deleted certificate comes back under its old id."""
    after_newest_deleted: Literal["older", "nothing"] = "older"
    """What is presented when the newest deployed one is gone and an older one is active."""
    enabled_without_certificate: Literal["shared", "none"] = "shared"
    """What an enabled zone without an active certificate presents while global AOP is on."""
    keep_last_active: bool = False
    """Whether DELETE of the only active certificate of an enabled zone is refused."""
    max_certificates: int | None = None
    refuse_invalid_dates: bool = False
    """Whether an expired or not yet valid upload is refused."""
    key_mismatch_code: int = 2106
    missing_permission_status: Literal[403, 400] = 403
    """Of 10000; zone settings and the list of zones have codes of their own."""
    refuse_every: int | None = Field(default=None, ge=1)
    """Every so many calls of a token that works one gets 403/10000, as under load."""
    rate_calls: int = Field(default=1200, ge=1)
    rate_window_s: Seconds = 300
    rate_block_s: Seconds = 300
    """How long every call of an owner is refused who has made one too many."""
    rate_headers: bool = True
    rate_retry_after: bool = True
    throttled_status: int = Field(default=429, ge=200, le=599)
    throttled_code: Literal[10100, 971] = 10100
    failure_result: Literal["absent", "null"] = "absent"
    unicode_names: bool = True
    """Whether internationalised zones are listed as they are read."""
    list_of_hostnames: bool = True
    """Whether GET .../hostnames exists; older API versions lack it."""


class LocationKnobs(Strict):
    """Everything that concerns one edge location. Times are seconds."""

    propagation_s: Seconds = 0
    """How long the API's state takes to get here."""
    tls: Literal["1.2", "1.3"] = "1.3"
    """The TLS version spoken to origins."""
    resume: bool = True
    """Whether TLS sessions with origins are resumed."""
    presents: dict[str, Literal["nothing", "foreign", "shared"]] = {}  # pydantic copies it
    """Host (or `*`) -> what is presented whatever the API says. A host's own entry goes before `*`."""
    idle_s: Seconds = 900
    """How long an unused connection to an origin is kept."""
    requests_per_connection: int | None = Field(default=None, ge=1)
    """After how many requests a connection to an origin is closed; None: only the origin closes it."""
    connect_timeout_s: Seconds = 15
    response_timeout_s: Seconds = 100
    """How long an origin may think before the visitor gets 524."""
