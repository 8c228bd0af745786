# docker build --target serve -t foodscene .          the service: slim, without TensorFlow
# docker build --target train -t foodscene:train .    training; on a GPU box: --build-arg LOCK=requirements-gpu.lock
FROM python:3.12-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 10001 foodscene
WORKDIR /foodscene
COPY pyproject.toml requirements*.lock README.md LICENSE ./
COPY foodscene foodscene
COPY models models
COPY app app
COPY training training
COPY static static

FROM base AS train
ARG LOCK=requirements.lock
RUN pip install --require-hashes --requirement "${LOCK}" && pip install --no-deps --no-build-isolation .
USER foodscene
WORKDIR /home/foodscene
ENTRYPOINT ["foodscene", "train"]

FROM base AS serve
RUN pip install --require-hashes --requirement requirements-serve.lock && pip install --no-deps --no-build-isolation .
USER foodscene
WORKDIR /home/foodscene
# Mount bundles of your own with: --volume /my/bundles:/bundles --env FOODSCENE_MODELS=/bundles
ENV FOODSCENE_HOST=0.0.0.0 FOODSCENE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, sys; from http.client import HTTPConnection; asked = HTTPConnection('localhost', int(port) if (port := os.environ.get('FOODSCENE_PORT', '')).isdigit() else 8000, timeout=2); asked.request('GET', '/readyz'); sys.exit(asked.getresponse().status != 200)"]
CMD ["foodscene", "serve"]
