"""What the edge answers by itself: Cloudflare's error pages. Pure."""

_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    409: "DNS resolution error",
    429: "You are being rate limited",
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
    530: "Origin DNS error",
}


def page(status: int, host: str, ray: str) -> bytes:
    """HTML, as a person in a browser sees it."""
    title = _TITLES.get(status, "Error")
    return (
        f"<!DOCTYPE html><html><head><title>{host} | {status}: {title}</title></head>"
        f"<body><h1>Error {status}: {title}</h1><p>Cloudflare Ray ID: {ray.partition('-')[0]}</p></body></html>\n"
    ).encode()


def challenge(host: str, ray: str) -> bytes:
    """The page that asks a visitor to prove to be a person."""
    return (
        f"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
        f"<body><p>{host} needs to review the security of your connection before proceeding.</p><p>Ray ID: {ray}</p></body></html>\n"
    ).encode()
