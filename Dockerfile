# Two images: the agent (the last target), and `reporter`, which only carries the preload script for init containers.
#   docker build --tag heapwarden .
#   docker build --tag heapwarden-reporter --target reporter .
ARG PYTHON_IMAGE=docker.io/library/python:3.12-slim
ARG NODE_IMAGE=docker.io/library/node:22-slim
ARG BUSYBOX_IMAGE=docker.io/library/busybox:1.37-musl

FROM ${NODE_IMAGE} AS page
WORKDIR /source/dashboards/live
COPY dashboards/live/package.json dashboards/live/package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund
COPY dashboards/live ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS installed
WORKDIR /source
COPY requirements/run.lock requirements/image.lock requirements/
RUN python3 -m venv /build \
    && /build/bin/pip install --quiet --no-cache-dir --require-hashes --requirement requirements/run.lock \
    && python3 -m venv --without-pip /opt/heapwarden \
    && /build/bin/pip --python /opt/heapwarden/bin/python install --quiet --no-cache-dir --no-compile \
        --require-hashes --requirement requirements/image.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY agent agent
COPY --from=page /source/agent/heapwarden/web/live agent/heapwarden/web/live
RUN /build/bin/pip wheel --quiet --no-cache-dir --no-build-isolation --no-deps --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/heapwarden/bin/python install --quiet --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /opt/heapwarden/bin/python -m compileall -q /opt/heapwarden

FROM ${BUSYBOX_IMAGE} AS reporter
LABEL org.opencontainers.image.title="heapwarden-reporter" \
      org.opencontainers.image.description="Copies Heapwarden's preload script into a folder that it shares with a Node app" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --chmod=644 agent/heapwarden/reporter/heapwarden.cjs /heapwarden/heapwarden.cjs
USER 10001:10001
# Into place by a rename: an app that starts meanwhile loads all of it or none.
CMD ["sh", "-c", "cp /heapwarden/heapwarden.cjs /reporter/.heapwarden.cjs && mv /reporter/.heapwarden.cjs /reporter/heapwarden.cjs"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="heapwarden" \
      org.opencontainers.image.description="Memory monitoring for Node.js processes: heap, garbage collection, health and limits" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 heapwarden \
    && useradd --uid 10001 --gid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin heapwarden \
    && install --directory --owner 10001 --group 10001 /run/heapwarden /var/lib/heapwarden \
    && rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
COPY --from=installed /opt/heapwarden /opt/heapwarden
ENV PATH=/opt/heapwarden/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 9797
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/heapwarden/bin/python", "-I", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(os.environ.get('HEAPWARDEN_URL', 'http://127.0.0.1:9797') + '/livez', timeout=4)"]
ENTRYPOINT ["heapwarden"]
CMD ["watch"]
