# A Prefect worker that follows production, measures and promotes: everything but what trains (no torch).
# Build from the checkout: docker build -f docker/worker.Dockerfile -t parsimony-worker .
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY . /src/
RUN mkdir -p /home/parsimony && python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock setuptools \
    && /app/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels /src \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock "$(echo /wheels/*.whl)[servers]" \
    && /app/bin/pip uninstall -y setuptools pip

FROM ${BASE}
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="parsimony-worker" \
      org.opencontainers.image.description="A Prefect worker that follows production, measures and promotes; it trains nothing" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /app /app
COPY --from=build --chown=65532:65532 /home/parsimony /home/parsimony
ENV PATH=/app/bin:$PATH HOME=/home/parsimony PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 PARSIMONY_HOME=/home/parsimony
USER 65532:65532
WORKDIR /home/parsimony
STOPSIGNAL SIGTERM
ENTRYPOINT ["prefect"]
CMD ["worker", "start", "--pool", "measure", "--type", "process"]
