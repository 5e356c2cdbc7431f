"""The real and the double parts that tests and the demo run the operator against: Kubernetes, ingress-nginx, Cloudflare.

Every server listens on loopback only and dies with the process that started it.
"""
