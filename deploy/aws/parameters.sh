#!/bin/bash
# Keeps settings and secrets in AWS's Parameter Store, encrypted, for machines to read: docs/aws.md.
#
#   deploy/aws/parameters.sh <FILE              lines NAME=value, as in .env; what is there already stays
#   deploy/aws/parameters.sh --replace <FILE    or is replaced
#
# A secret that is replaced locks out whoever knows the old one: PostgreSQL keeps the password of its first start.
set -euo pipefail

prefix=${GAS_PREFIX:-gas}
replace=false
if [[ ${1:-} == --replace ]]; then replace=true; fi
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

while IFS= read -r line || [[ -n $line ]]; do
    [[ -n $line && $line != \#* ]] || continue
    if [[ ! $line =~ ^([A-Z_][A-Z0-9_]*)=(.+)$ ]]; then
        echo "not NAME=value: ${line%%=*}" >&2
        exit 2
    fi
    # By way of a file: whatever is an argument of a program, all of the machine can read.
    name=/$prefix/${BASH_REMATCH[1]}
    name=$name value=${BASH_REMATCH[2]} replace=$replace python3 -c '
import json, os
asked = {"Name": os.environ["name"], "Value": os.environ["value"], "Type": "SecureString"}
print(json.dumps({**asked, "Overwrite": os.environ["replace"] == "true"}))' >"$folder/asked"
    if aws ssm put-parameter --cli-input-json "file://$folder/asked" >"$folder/answer" 2>&1; then
        echo "$name set"
    elif grep -q ParameterAlreadyExists "$folder/answer"; then
        echo "$name stays as it is"
    else
        cat "$folder/answer" >&2
        exit 1
    fi
done
