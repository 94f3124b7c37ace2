"""The least Celery worker that could do a board's job: what the agent's memory is compared with.

Same queue, same settings of Celery as the agent, one empty task. Started by `agent_rss` as `celery -A`.
"""

from __future__ import annotations

import os

from celery import Celery
from kombu import Queue

from workties.messages import EXECUTE_TASK, board_queue

QUEUE = board_queue(os.environ["WORKTY_BOARD_ID"])

app = Celery("bare", broker=os.environ["WORKTY_AMQP_URL"])
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_queues=[
        Queue(QUEUE, exchange="", routing_key=QUEUE, no_declare=True, queue_arguments={"x-queue-type": "quorum"})
    ],
    task_create_missing_queues=False,
    task_acks_late=True,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task(name=EXECUTE_TASK)
def execute(assignment: object) -> None:
    """Nothing; the comparison is about idle processes."""
