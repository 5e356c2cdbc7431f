"""Where one replica lives."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.ingress_nginx.programs import Program


@dataclass(frozen=True, slots=True)
class Place:
    """Where one replica lives: its address, its ports, its folder and the certificate it shows, and the nginx it runs on."""

    program: Program
    folder: Path
    address: str
    http_port: int
    https_port: int
    default_server_port: int
    status_port: int
    backend: str
    certificate: Path
    key: Path
    user: str | None = None
    worker_processes: int = 2
    worker_connections: int = 16384

    @property
    def ssl_folder(self) -> Path:
        """Where CA files of Secrets are written (the controller's `/etc/ingress-controller/ssl`)."""
        return self.folder / "ssl"

    @property
    def endpoints_file(self) -> Path:
        """Is there as soon as nginx knows where the application is.

        The controller pushes that by Lua, without a reload; here nginx looks for the file.
        """
        return self.folder / "endpoints"
