# The control plane: API, job worker and migrations in one image; docker-compose.yml says which is which.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home runyard && install -d -o runyard -g runyard -m 700 /data
WORKDIR /srv/runyard

COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt

COPY schema schema
COPY handlers handlers
COPY functions functions
COPY portal portal
COPY jobs jobs
COPY executor executor
COPY cli cli
COPY providers.toml ./

USER runyard
EXPOSE 8080
CMD ["gunicorn", "-c", "functions/gunicorn.conf.py", "--bind", "0.0.0.0:8080", "functions.wsgi:app"]
