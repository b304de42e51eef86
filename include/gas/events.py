"""What the outside world is told: messages on SNS topics, each with a queue of its name subscribed.

GAS itself never waits for one of these; it is driven by the record.
"""

from __future__ import annotations

import json

from gas.aws import Aws
from gas.job import Job, Output
from gas.settings import Settings


class Events:
    """The topics of one installation."""

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._settings = settings
        self._account = settings.aws_account

    def job_completed(self, job: Job) -> None:
        """Tell the ``gas-glacier`` topic where the result of a COMPLETED job lies and since when."""
        result, log = job.outputs[Output.VCF], job.outputs[Output.LOG]
        self._publish(
            self._settings.completed_topic,
            {
                "job_id": job.job_id,
                "user_id": job.user_id,
                "job_status": job.job_status.value,
                "complete_time": job.complete_time,
                "s3_results_bucket": result.bucket,
                "s3_key_result_file": result.key,
                "result_version_id": result.version_id,
                "s3_key_log_file": log.key,
                "log_version_id": log.version_id,
            },
        )

    def _publish(self, topic: str, message: dict[str, object]) -> None:
        self._aws.sns.publish(TopicArn=self._arn(topic), Message=json.dumps(message))

    def _arn(self, topic: str) -> str:
        if not self._account:
            self._account = self._aws.sts.get_caller_identity()["Account"]
        partition = "aws-cn" if self._aws.region.startswith("cn-") else "aws"
        return f"arn:{partition}:sns:{self._aws.region}:{self._account}:{topic}"
