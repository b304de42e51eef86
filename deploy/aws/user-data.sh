#!/bin/bash
# User data of an EC2 machine (Debian 13) that runs all of GAS: docs/aws.md says how to launch it.
#
# Set the first two lines. Everything else is read from the Parameter Store, below /gas/; nothing secret is in here, for
# whoever may describe the machine can read its user data. Safe to run again, which also brings up a new release.
set -euo pipefail
umask 022 # what is cloned becomes part of an image whose user is another

source=${GAS_SOURCE:-https://git.example.org/lab/gas.git} # where GAS is cloned from
release=${GAS_RELEASE:-v0.1.0}                            # a tag of it
prefix=${GAS_PREFIX:-gas}
folder=${GAS_FOLDER:-/opt/gas}

say() {
    echo "gas: $*"
}

# A function is read whole before it runs: this file may be replaced by the release that it fetches.
set_up() {
    say "packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends \
        awscli ca-certificates chrony curl docker.io docker-buildx docker-compose git

    metadata=http://169.254.169.254/latest
    token=$(curl -fsS -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" "$metadata/api/token")
    region=$(curl -fsS -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/placement/region")
    export AWS_DEFAULT_REGION=$region

    say "release $release"
    if [[ -d $folder/.git ]]; then
        git -C "$folder" fetch --quiet --depth 1 origin tag "$release"
        git -C "$folder" checkout --quiet --detach "$release"
    else
        git clone --quiet --depth 1 --branch "$release" "$source" "$folder"
    fi
    cd "$folder"

    say "settings of /$prefix/ in $region"
    umask 077
    aws ssm get-parameters-by-path --path "/$prefix/" --with-decryption \
        --query 'Parameters[].[Name,Value]' --output text >.env.read
    {
        echo "GAS_PREFIX='$prefix'"
        echo "GAS_REGION='$region'"
        while IFS=$'\t' read -r name value; do
            if [[ $value == *\'* ]]; then
                say "$name holds a quote, which .env cannot" >&2
                exit 1
            fi
            echo "${name##*/}='$value'"
        done <.env.read
    } >.env.new
    rm .env.read
    if ! grep -q '^POSTGRES_PASSWORD=' .env.new; then
        say "there is no /$prefix/POSTGRES_PASSWORD: deploy/secrets.sh | deploy/aws/parameters.sh" >&2
        exit 1
    fi
    mv .env.new .env
    umask 022

    say "images"
    systemctl enable --quiet --now docker chrony
    docker compose build --quiet
    say "services"
    docker compose up --detach --remove-orphans
    if ! docker compose run --rm gas reference list | grep -q transcripts; then
        docker compose run --rm gas reference add sars-cov-2
    fi
    docker compose run --rm gas doctor operator
    say "ready"
}

set_up
exit
