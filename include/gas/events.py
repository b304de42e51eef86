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
        self._wake_url = ""

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

    def await_thawed(self, seconds: int) -> list[str]:
        """Wait for messages that tell of finished retrievals, at most so many seconds (1 to 20); their texts.

        They are taken off GAS's own queue as they are read: they only shorten a wait.
        """
        sqs = self._aws.sqs
        if not self._wake_url:
            self._wake_url = sqs.get_queue_url(QueueName=self._settings.thaw_wake_queue)["QueueUrl"]
        answer = sqs.receive_message(QueueUrl=self._wake_url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        messages = answer.get("Messages", [])
        if messages:
            sqs.delete_message_batch(
                QueueUrl=self._wake_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )
        return [message["Body"] for message in messages]

    def restore_begun(self, job: Job) -> None:
        """Tell the ``gas-restore`` topic which result is on its way back from the archive."""
        result = job.outputs[Output.VCF]
        self._publish(
            self._settings.restore_topic,
            {
                "job_id": job.job_id,
                "user_id": job.user_id,
                "restore_time": job.restore_time,
                "archive_id": job.archive_id,
                "s3_results_bucket": result.bucket,
                "s3_key_result_file": result.key,
            },
        )

    def _publish(self, topic: str, message: dict[str, object]) -> None:
        self._aws.sns.publish(TopicArn=self.arn(topic), Message=json.dumps(message))

    def arn(self, topic: str) -> str:
        """The full name of one of the installation's topics."""
        if not self._account:
            self._account = self._aws.sts.get_caller_identity()["Account"]
        partition = "aws-cn" if self._aws.region.startswith("cn-") else "aws"
        return f"arn:{partition}:sns:{self._aws.region}:{self._account}:{topic}"
