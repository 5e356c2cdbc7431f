"""One real nginx as a user runs it in a pod: a configuration of theirs, which takes in the files of our ConfigMap.

The lines that a user adds are those of docs/how-to/nginx.md; a test compares them. For tests of
what the files mean; what replaces its pods is in `sandbox.cluster`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox import lone_nginx
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.plain_server import MOUNT, UsersServer, mount
from sandbox.text_nginx import AskedNginx

IN_HTTP, IN_SERVER = f"include {MOUNT}/http*.conf;", f"include {MOUNT}/server*.conf;"
"""What a user adds, once: in `http{}`, and as the first line of each `server{}`."""

CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    types {{ text/html html; text/plain txt; }} default_type text/html; server_names_hash_bucket_size 256;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; access_log off;
    ssl_session_cache shared:SSL:10m; ssl_session_timeout 10m;
    ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
    {in_http}
    {servers}
}}
"""
SERVER_CONF = """
    server {{
        {in_server}
        server_name "{name}";
        listen {address}:{https} ssl{default}; listen {address}:{plain}{default};
        {also}
        location / {{ return 200 "app verify=$ssl_client_verify resumed=$ssl_session_reused"; }}
    }}
"""


class PlainNginx(UsersServer, AskedNginx):
    """A running nginx within the block; its hosts have a server each, beside the catch-all."""

    def tested(self) -> str:
        """What `nginx -t` says against it: empty when it passes."""
        self._write()
        return lone_nginx.complaints(self.folder)

    def reload(self, files: Mapping[str, str]) -> None:
        """Have it read other files; the new workers answer a little later."""
        self.files = files
        self._write()
        self.signal_reload()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "server.crt").exists():
            ClusterAuthority("origin").serve(["origin.example.com"]).write(self.folder, "server")
        mount(self.folder / MOUNT, self.files)
        servers = [
            SERVER_CONF.format(
                name=name,
                address=self.address,
                https=self.https_port,
                plain=self.http_port,
                default=" default_server" if name == "_" else "",
                also=self.also_for(name),
                in_server="" if name in self.servers_without else IN_SERVER,
            )
            for name in ("_", *self.hosts, *self.servers_without)
        ]
        text = CONF.format(folder=self.folder, in_http=IN_HTTP, servers="".join(servers))
        (self.folder / "nginx.conf").write_text(text)
