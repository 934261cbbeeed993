# Runs plans: everything, torch too.
# Build from the checkout: docker build -f docker/train.Dockerfile -t parsimony-train .
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY requirements.lock pyproject.toml README.md LICENSE /src/
COPY parsimony /src/parsimony
COPY flows /src/flows
COPY tasks /src/tasks
COPY mlflow /src/mlflow
RUN python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock "/src[demo]" psycopg2-binary \
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
CMD ["worker", "start", "--pool", "train"]
