"""A container without a container engine: a read-only root of its own, an unprivileged user, no environment but the given one, and its own pids.

Linux only. It needs either root or user namespaces; `why_not` says if neither is to be had. What is
bound into the root is this machine's Python and its libraries, the prefix under test, and what the
kubelet mounts into every pod: the ServiceAccount's token.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

USER = 65532

# Runs in the new mount and pid namespace, as root there. Every mount ends read-only but
# /dev/null's, and nothing is private to a test.
_SCRIPT = """
set -eu
root=$1 user=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
bind() {
    mkdir -p "$root$2"
    mount --rbind "$1" "$root$2"
}
while [ "$1" != -- ]; do bind "$1" "$2"; shift 2; done
shift
for each in /bin /sbin /lib /lib64; do [ ! -L "$each" ] || ln -s "$(readlink "$each")" "$root$each"; done
mkdir -p "$root/dev" "$root/proc"
# As the OCI runtime specification has it ("Default Devices", "Dev symbolic links").
for each in null zero full random urandom; do : > "$root/dev/$each"; mount --bind "/dev/$each" "$root/dev/$each"; done
for each in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${each%:*}" "$root/dev/${each#*:}"; done
ln -s /proc/self/fd "$root/dev/fd"
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
# In a user namespace a mount keeps the flags that it has outside, so they have to be said again.
keep='^(nosuid|nodev|noexec|noatime|nodiratime|relatime)$'
awk -v root="$root" 'index($5, root) == 1 {print length($5), $5}' /proc/self/mountinfo | sort -rn | while read -r _ path; do
    flags=$(awk -v path="$path" '$5 == path {found = $6} END {print found}' /proc/self/mountinfo | tr , '\n' | grep -E "$keep" | paste -sd, -)
    mount -o "remount,bind,ro${flags:+,$flags}" "$path"
done
cd /
if [ "$user" = root ]; then
    exec chroot --userspec=@USER@:@USER@ --groups= "$root" setpriv --no-new-privs --bounding-set=-all "$@"
fi
exec unshare --user --map-user=@USER@ --map-group=@USER@ --root="$root" --wd=/ setpriv --no-new-privs "$@"
""".replace("@USER@", str(USER))


def why_not() -> str | None:
    """Why such a root cannot be made here; None if it can."""
    missing = [
        name
        for name in ("unshare", "setpriv", "chroot", "mount", "awk")
        if shutil.which(name) is None
    ]
    if sys.platform != "linux" or missing:
        return f"a mount namespace needs Linux and {', '.join(missing) or 'nothing else'}"
    done = subprocess.run(
        [*_namespaces(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        None
        if done.returncode == 0
        else f"neither root nor user namespaces are to be had: {done.stderr.strip()}"
    )


def command(
    root: Path, binds: Mapping[Path, str], environment: Mapping[str, str], argv: Sequence[str]
) -> list[str]:
    """What to run so that `argv` runs in the new root at `root` (an empty folder); `binds` are folders of this machine and where they are seen."""
    system = [
        path
        for path in map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64"))
        if path.is_dir() and not path.is_symlink()
    ]
    python = Path(sysconfig.get_config_var("installed_base"))
    seen = {
        **{path: str(path) for path in system},
        **({} if python.is_relative_to("/usr") else {python: str(python)}),
        **binds,
    }
    user = "root" if os.geteuid() == 0 else "nobody"
    pairs = [word for source, target in seen.items() for word in (str(source), target)]
    variables = [f"{name}={value}" for name, value in environment.items()]
    return [
        *_namespaces(),
        "sh",
        "-c",
        _SCRIPT,
        "sh",
        str(root),
        user,
        *pairs,
        "--",
        "env",
        "-i",
        *variables,
        *argv,
    ]


def _namespaces() -> list[str]:
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--mount", "--pid", "--fork", "--kill-child"]


def shown(argv: Sequence[str]) -> str:
    """The command as a person would type it, for messages."""
    return shlex.join(argv)
