# A Prefect worker that follows production, measures and promotes: everything but what trains (no torch).
# Build from the checkout: docker build -f docker/worker.Dockerfile -t parsimony-worker .
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY requirements.lock pyproject.toml README.md LICENSE /src/
COPY parsimony /src/parsimony
COPY flows /src/flows
COPY tasks /src/tasks
COPY mlflow /src/mlflow
# The flow's libraries by name: the extra `flow` would bring what trains.
RUN python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock \
        "/src[serve]" mlflow prefect pydantic rich sqlalchemy psycopg2-binary psutil scikit-learn onnx onnx-ir \
    && find /app -name '*.pyc' -delete

FROM ${BASE}
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 PARSIMONY_HOME=/home/parsimony \
    DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true PREFECT_SERVER_ANALYTICS_ENABLED=false HOME=/home/parsimony
RUN mkdir -p /home/parsimony && chown 65532:65532 /home/parsimony
USER 65532:65532
WORKDIR /home/parsimony
STOPSIGNAL SIGTERM
ENTRYPOINT ["prefect"]
CMD ["worker", "start", "--pool", "measure"]
