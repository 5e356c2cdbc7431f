"""`python -m sandbox.prometheus`: get Prometheus and promtool, with progress, and print where they are."""

import sys

from sandbox.prometheus import programs


def main() -> int:
    """Exit status 0 when they are there, or when nobody requires them."""
    try:
        of_this_machine = programs.find()
    except programs.PrometheusError as error:
        print(f"prometheus: {error}", file=sys.stderr)
        if programs.is_required():
            return 1
        print(
            f"prometheus: what needs it is left out ({programs.REQUIRED}=1: never)", file=sys.stderr
        )
        return 0
    print(of_this_machine.prometheus.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
