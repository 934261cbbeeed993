# Runs plans: everything, torch too.
# Build from the checkout: docker build -f docker/train.Dockerfile -t parsimony-train .
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY . /src/
RUN mkdir -p /home/parsimony && python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock setuptools \
    && /app/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels /src \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock "$(echo /wheels/*.whl)[demo,servers]" \
    && /app/bin/pip uninstall -y pip

FROM ${BASE}
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="parsimony-train" \
      org.opencontainers.image.description="Runs plans: searches, trains, compresses, measures and promotes; also MLflow's and Prefect's servers" \
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
CMD ["worker", "start", "--pool", "parsimony", "--type", "process"]
