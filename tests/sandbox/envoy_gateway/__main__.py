"""`python -m sandbox.envoy_gateway`: get Envoy Gateway, with progress, and print where it is."""

import sys

from sandbox.debian import REQUIRED
from sandbox.envoy_gateway import programs


def main() -> int:
    """Exit status 0 when it is there, or when nobody requires it."""
    try:
        built = programs.find()
    except programs.EnvoyGatewayError as error:
        print(f"envoy-gateway: {error}", file=sys.stderr)
        if programs.is_required():
            return 1
        print(
            f"envoy-gateway: what needs it is left out ({REQUIRED}=1: never)",
            file=sys.stderr,
        )
        return 0
    print(built.envoy_gateway.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
