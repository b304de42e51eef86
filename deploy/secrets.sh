#!/bin/sh
# Prints what .env must hold that nobody may guess, made at random: deploy/secrets.sh >>.env
set -eu
umask 077

random() {
    head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'
}

cat <<END
POSTGRES_PASSWORD=$(random 24)
REDIS_PASSWORD=$(random 24)
AIRFLOW_FERNET_KEY=$(random 32)
AIRFLOW_JWT_SECRET=$(random 48)
AIRFLOW_SECRET_KEY=$(random 33)
GAS_AIRFLOW_PASSWORD=$(random 24)
GAS_WEB_SECRET_KEY=$(random 33)
END
