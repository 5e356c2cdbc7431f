"""`kubectl aop`: what a person asks and does beside `kubectl get` and `kubectl edit`.

It works with the rights of whoever runs it, in a process of its own: it never speaks to the
operator, and reads what the operator reads. Pure functions make the output from what was read
before. `looking`, and `surveying` for `preflight`, ask Cloudflare, replicas and the edge.
"""
