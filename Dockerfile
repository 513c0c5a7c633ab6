# The control plane: API, job worker, migrations and administration. docker-compose.yml names each service's command.
# Targets: `control-plane` (the default), and `job-worker`, which has the executor's code too: the job worker asks it what
# agents there are, and starts it as its own processes where WORKER_HOST is process.
ARG BASE_IMAGE=python:3.11-slim

# The portal, built by the Node.js that the executor's requirements bring as a Python package.
FROM ${BASE_IMAGE} AS portal
WORKDIR /build
COPY requirements-executor.txt ./
RUN python3 -m venv /opt/node && /opt/node/bin/pip install --no-cache-dir --require-hashes -r requirements-executor.txt
COPY portal portal
RUN export PATH=/opt/node/bin:$PATH && cd portal && npm ci --no-fund --no-audit && npm run build

FROM ${BASE_IMAGE} AS control-plane

ENV PATH=/opt/runyard/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home runyard && install -d -o runyard -g runyard -m 700 /data
WORKDIR /srv/runyard

COPY requirements-control-plane.txt ./
RUN python3 -m venv /opt/runyard/venv \
 && python -m pip install --no-cache-dir --require-hashes -r requirements-control-plane.txt

COPY schema schema
COPY handlers handlers
COPY functions functions
COPY --from=portal /build/portal/pages portal/pages
COPY --from=portal /build/portal/dist portal/dist
COPY jobs jobs
COPY cli cli
COPY providers.toml ./

USER runyard
EXPOSE 8080
CMD ["gunicorn", "-c", "functions/gunicorn.conf.py", "--bind", "0.0.0.0:8080", "functions.wsgi:app"]

FROM control-plane AS job-worker
USER root
COPY requirements-executor.txt ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-executor.txt
COPY executor executor
USER runyard
CMD ["python", "-m", "jobs"]

FROM control-plane
