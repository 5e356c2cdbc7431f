"""`python -m sandbox.helm`: get Helm 3 and Helm 4, with progress, and print where they are."""

import sys

from sandbox.helm import programs


def main() -> int:
    """Exit status 0 when both are there."""
    try:
        for major in programs.MAJORS:
            print(programs.find(major))
    except programs.HelmError as error:
        print(f"helm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
