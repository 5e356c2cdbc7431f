# Two stages: the first resolves nothing, it only installs what the lock names; the second has neither pip nor build tools.
# Give the base by digest where your registry knows it: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements/run.lock requirements/build.lock requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.lock \
 && python -m pip install --require-hashes --prefix /opt/aop -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m pip install --no-deps --no-index --prefix /opt/aop /wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="aop-operator" \
      org.opencontainers.image.description="Cloudflare zone-level Authenticated Origin Pulls for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes pip setuptools wheel 2>/dev/null || true
COPY --from=build /opt/aop /usr/local
USER 65532:65532
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["aop-operator"]
CMD ["run"]
