# Answers over HTTP: numpy, onnxruntime, tokenizers and the server. No torch, no Prefect, no MLflow.
# Build from the checkout: docker build -f docker/serve.Dockerfile -t parsimony-serve .
# BASE can be any image with Python 3.11 to 3.13; give it by digest (python@sha256:...) where builds must be repeatable.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY requirements.lock pyproject.toml README.md LICENSE /src/
COPY parsimony /src/parsimony
COPY flows /src/flows
COPY tasks /src/tasks
COPY mlflow /src/mlflow
RUN python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock "/src[serve]" \
    && /app/bin/pip uninstall -y pip \
    && find /app -name '*.pyc' -delete

FROM ${BASE}
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 PARSIMONY_HOME=/home/parsimony
# 65532 is nobody of this machine; the root file system may be read-only, and the home a volume.
RUN mkdir -p /home/parsimony /opt/ml/model && chown 65532:65532 /home/parsimony
USER 65532:65532
WORKDIR /home/parsimony
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
STOPSIGNAL SIGTERM
# SageMaker runs the image with the argument `serve` and puts the model into /opt/ml/model.
ENTRYPOINT ["parsimony"]
CMD ["serve", "--host", "0.0.0.0"]
