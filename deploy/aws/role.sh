#!/bin/bash
# Makes the IAM role and the instance profile of a machine of GAS, or brings them up to date: docs/aws.md.
#
#   deploy/aws/role.sh                  all of GAS on one machine
#   deploy/aws/role.sh worker triggerer a machine that does only this
#
# Reads GAS's settings from the environment: what the machine may do follows from them.
set -euo pipefail

prefix=${GAS_PREFIX:-gas}
region=${GAS_REGION:-us-east-1}
parts=("$@")
((${#parts[@]})) || parts=(web worker triggerer operator)
if ((${#parts[@]} == 4)); then name=$prefix-machine; else name=$(IFS=-; echo "$prefix-${parts[*]}"); fi

account=${GAS_AWS_ACCOUNT:-$(aws sts get-caller-identity --query Account --output text)}
partition=aws
[[ $region != cn-* ]] || partition=aws-cn
parameters=arn:$partition:ssm:$region:$account:parameter/$prefix
export GAS_AWS_ACCOUNT=$account

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/trust" <<END
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
]}
END
cat >"$folder/settings" <<END
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["ssm:GetParametersByPath"],
   "Resource": ["$parameters", "$parameters/*"]}
]}
END

aws iam get-role --role-name "$name" >"$folder/found" 2>&1 ||
    aws iam create-role --role-name "$name" --assume-role-policy-document "file://$folder/trust" >"$folder/made"
aws iam put-role-policy --role-name "$name" --policy-name settings --policy-document "file://$folder/settings"
for part in "${parts[@]}"; do
    gas iam "$part" >"$folder/policy"
    aws iam put-role-policy --role-name "$name" --policy-name "$part" --policy-document "file://$folder/policy"
done

if ! aws iam get-instance-profile --instance-profile-name "$name" >"$folder/found" 2>&1; then
    aws iam create-instance-profile --instance-profile-name "$name" >"$folder/made"
    aws iam add-role-to-instance-profile --instance-profile-name "$name" --role-name "$name"
fi
echo "role and instance profile $name: settings ${parts[*]}"
