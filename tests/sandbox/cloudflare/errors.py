"""What the API answers when it refuses, by code (facts: cloudflare#error-codes).

Where no source states the HTTP status of a code it is 400. Messages are as seen by others and are
not to be relied upon.
"""

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal with its HTTP status.

    `code` None stands for an error of which no code is known: it is answered as 1000.
    """

    def __init__(
        self, status: int, code: int | None, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} / {code}: {message}")
        self.status = status
        self.code = 1000 if code is None else code
        self.message = message
        self.headers = dict(headers or {})


def not_routable(path: str, status: int = 404) -> ApiError:
    """Unknown path, or an id that cannot be one."""
    return ApiError(
        status, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?"
    )


def lacks_permission(status: int = 403) -> ApiError:
    """The token lacks the permission, or the zone. Sometimes seen with HTTP 400."""
    return ApiError(status, 10000, "Authentication error")


def lacks_settings_permission() -> ApiError:
    """As zone settings say it."""
    return ApiError(403, 9109, "Unauthorized to access requested resource")


def lacks_zone_permission(token_id: str) -> ApiError:
    """As the list of zones says it."""
    actor, permission = (
        f"com.cloudflare.api.token.{token_id}",
        "com.cloudflare.api.account.zone.list",
    )
    return ApiError(403, 0, f"Actor '{actor}' requires permission '{permission}' to list zones")


def not_offered() -> ApiError:
    """The zone's plan, or its type, has no such route."""
    return ApiError(403, None, "This is not available for the plan of this zone.")


def other_address(address: str) -> ApiError:
    """The token is for other addresses."""
    return ApiError(403, 9109, f"Cannot use the access token from location: {address}")


def unknown_key() -> ApiError:
    """E-mail address and key are no user's."""
    return ApiError(400, 9103, "Unknown X-Auth-Key or X-Auth-Email")


def malformed_authorization() -> ApiError:
    """A header that cannot hold a token; the inner code is 6111."""
    return ApiError(400, 6003, "Invalid request headers")


def already_exists() -> ApiError:
    """The same certificate is still there, possibly on its way out."""
    return ApiError(400, 1406, "This certificate already exists for this zone.")


def unparsable(what: str = "certificate") -> ApiError:
    """PEM that is none."""
    return ApiError(400, 1408, f"Unable to parse {what}")


def already_going() -> ApiError:
    """DELETE of a hostname certificate that is on its way out, or gone."""
    return ApiError(400, 1414, "The certificate is already in pending deletion.")


def in_use() -> ApiError:
    """DELETE of a hostname certificate before its associations were voided."""
    return ApiError(400, 1433, "The certificate is in use.")


def certificate_required() -> ApiError:
    """PUT of an association without a certificate, also when voiding."""
    return ApiError(400, 1404, "Certificate ID required")


def still_deploying() -> ApiError:
    """DELETE came too early."""
    return ApiError(400, 1434, "Cannot delete resource while in pending deployment state.")


def already_deleted() -> ApiError:
    """DELETE of a tombstone, or of one on its way out."""
    return ApiError(400, None, "Certificate is already deleted.")


def in_flight() -> ApiError:
    """Another mutation of the same zone has not been answered yet."""
    return ApiError(409, None, "Another operation on this zone is in progress.")


def certificate_not_found(code: int = 1552) -> ApiError:
    """Unknown id (1552 for zone certificates, 1551 for hostname certificates)."""
    return ApiError(404, code, "Certificate not found.")


def wrong_store() -> ApiError:
    """An id of the other certificate store."""
    return ApiError(400, 1415, "Invalid Certificate ID")


def association_not_found() -> ApiError:
    """The host was never configured."""
    return ApiError(404, 1553, "The setting for this hostname was not found.")
