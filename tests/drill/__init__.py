"""A drill on a real zone: `make drill ZONE=example.com TOKEN_FILE=token`, and docs/how-to/drill.md.

The Cloudflare half of a rollout, with the operator's own client, on a zone that somebody gives up
for an hour. The same exercise runs on the double first, and the two are compared, so that whoever
has a zone can tell where the double is wrong.
"""
