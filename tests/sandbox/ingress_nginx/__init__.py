"""ingress-nginx without a container: real nginx workers, driven by a stand-in for the controller on a real Kubernetes API.

The controller's binary is in no package registry, so its Go half is imitated: where ConfigMap text
lands in nginx.conf, how it is re-indented, when it is tried, what happens when `nginx -t` refuses
it, and what each Pod then shows. nginx itself, its TLS and its reloads are the real thing. What it
imitates stands in docs/facts/ingress-nginx.md.

`launcher.IngressNginx` starts it for tests and for the sandbox; `python -m sandbox.ingress_nginx
--help` starts it by hand. It is a process of its own, so that neither load nor a busy test delays
its replicas.
"""
