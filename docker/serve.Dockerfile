# Answers over HTTP: numpy, onnxruntime, tokenizers and the server. No torch, no Prefect, no MLflow.
# Build from the checkout: docker build -f docker/serve.Dockerfile -t parsimony-serve .
# BASE can be any image with Python 3.11 to 3.13 and venv; give it by digest (python@sha256:...) where builds must be repeatable.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
COPY . /src/
RUN mkdir -p /home/parsimony && python3 -m venv /app \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock setuptools \
    && /app/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels /src \
    && /app/bin/pip install --no-cache-dir -c /src/requirements.lock "$(echo /wheels/*.whl)[serve]"
# What no prediction uses: the hub's client (tokenizers asks for it, files are never fetched here), the second copy of the runtime for
# programs in C, the runtime's tools for making models, and the tests of numpy.
RUN cd /app/lib/python3*/site-packages \
    && /app/bin/pip uninstall -y huggingface-hub hf-xet httpx2 httpcore2 truststore fsspec filelock tqdm pyyaml setuptools pip \
    && rm -r onnxruntime/capi/libonnxruntime.so.* onnxruntime/transformers onnxruntime/quantization onnxruntime/tools \
    && find numpy -type d -name tests -prune -exec rm -r {} +

FROM ${BASE}
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="parsimony-serve" \
      org.opencontainers.image.description="Answers over HTTP with a bundle, and follows the champion" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /app /app
COPY --from=build --chown=65532:65532 /home/parsimony /home/parsimony
ENV PATH=/app/bin:$PATH HOME=/home/parsimony PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    PARSIMONY_HOME=/home/parsimony PARSIMONY_SERVE_HOST=0.0.0.0
# 65532 is nobody of this machine; the root file system may be read-only, and the home a volume.
WORKDIR /opt/ml/model
USER 65532:65532
WORKDIR /home/parsimony
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
STOPSIGNAL SIGTERM
# SageMaker runs the image with the argument `serve` alone and puts the model into /opt/ml/model.
ENTRYPOINT ["parsimony"]
CMD ["serve"]
