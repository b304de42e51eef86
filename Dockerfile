# The image of every service of docker-compose.yaml that is GAS or Airflow; which one it is, its command says.

ARG PYTHON=3.11.15
FROM python:${PYTHON}-slim-trixie AS built

ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
RUN python -m venv --without-pip /opt/venv
WORKDIR /opt/gas
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --python /opt/venv/bin/python -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY include ./include
COPY plugins ./plugins
COPY webui ./webui
COPY dags ./dags
# Editable, so that DAGs, plugins and the rest lie in one place, as in a checkout.
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --python /opt/venv/bin/python --no-deps --editable . \
    && /opt/venv/bin/python -m compileall -q include plugins webui dags

FROM python:${PYTHON}-slim-trixie

RUN groupadd --gid 10001 gas \
    && useradd --uid 10001 --gid gas --home-dir /var/lib/gas --no-create-home --shell /usr/sbin/nologin gas \
    && install -d -o gas -g gas -m 0750 /var/lib/gas /var/lib/gas/references /var/lib/gas/scratch /var/lib/gas/standin \
        /var/lib/gas/airflow /var/log/gas
COPY --from=built /opt/venv /opt/venv
COPY --from=built /opt/gas /opt/gas

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/gas
USER 10001:10001
CMD ["gas", "--help"]
