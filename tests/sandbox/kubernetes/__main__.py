"""`python -m sandbox.kubernetes`: get the programs, with progress, and print their folder."""

import sys

from sandbox.kubernetes import binaries


def main() -> int:
    """Exit status 0 when there is a Kubernetes to run."""
    try:
        programs = binaries.find()
    except binaries.BinariesError as error:
        print(f"kubernetes: {error}", file=sys.stderr)
        return 1
    print(programs.etcd.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
