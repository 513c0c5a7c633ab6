"""A worker of procrastinate with nothing of ours in its jobs: `python -m tests.benchmarks.baselines.queue_worker`.

`QUEUE_POOL=ours` gives it our connection pool, otherwise it has its own. `QUEUE_RECIPE=1` adds the documented recipe
for stalled jobs, swept every 5 s. Each job prints `name:seconds` (the machine's monotonic clock) when it begins.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import procrastinate

from jobs import app as ours

CONCURRENCY = 16
connector = (
    ours.app.connector
    if os.environ.get("QUEUE_POOL") == "ours"
    else procrastinate.PsycopgConnector(conninfo=os.environ.get("DATABASE_URL", ""))
)
app = procrastinate.App(connector=connector)


@app.task(name="bench_nothing", queue="bench")
async def nothing() -> None:
    _say("nothing")


@app.task(name="bench_long", queue="bench")
async def long(name: str) -> None:
    _say(name)
    await asyncio.sleep(3600)


async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:  # noqa: ARG001  periodic tasks get it
    for job in await context.app.job_manager.get_stalled_jobs():
        await context.app.job_manager.retry_job(job)


def _say(name: str) -> None:
    sys.stdout.write(f"{name}:{time.monotonic()}\n")
    sys.stdout.flush()


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(queues=["bench"], concurrency=CONCURRENCY)


if __name__ == "__main__":
    if os.environ.get("QUEUE_RECIPE"):
        sweep = app.task(name="bench_retry_stalled", queue="bench", pass_context=True)(retry_stalled)
        app.periodic(cron="* * * * * */5")(sweep)
    asyncio.run(work())
