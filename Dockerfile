# Two stages. What the first one does is tools/image.sh, which a test runs without a container engine as well; the second one has neither pip nor
# build tools, and runs without root on a read-only file system.
#
# For two builds that are alike, give the base by the digest that your registry knows, and the commit:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... --build-arg REVISION=$(git rev-parse HEAD) \
#     --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --tag aop-operator:0.1.0 .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH=315532800
WORKDIR /src
COPY requirements/run.lock requirements/build.lock requirements/
COPY pyproject.toml README.md LICENSE ./
COPY tools/image.sh tools/
COPY operator operator
RUN tools/image.sh /opt/aop /usr/local/bin/python3

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="aop-operator" \
      org.opencontainers.image.description="Cloudflare zone-level Authenticated Origin Pulls for Kubernetes, without one lost request" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base brings pip, and the means to install it again.
RUN python3 -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel; \
    rm -rf /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/idlelib ~/.cache
COPY --from=build /opt/aop /opt/aop
COPY LICENSE /usr/share/doc/aop-operator/
USER 65532:65532
WORKDIR /
# A traceback is seen at once; nothing is ever written beside the code. Memory for connections is given back when they are closed: each has a buffer of
# 256 KiB, which glibc would keep from the first one on, and in each of its arenas.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=262144
# Started directly, so that signals reach the process: SIGTERM ends it in order.
ENTRYPOINT ["/opt/aop/bin/aop-operator"]
CMD ["run"]
