"""Python's own executors, as calls.c measures Weir's pools: an empty task, handed over from a coroutine and awaited.

    executors.py threads|processes one|many COUNT

Prints one line of JSON: {"p50_us": ...} of COUNT calls one at a time, or {"per_s": ...} of COUNT calls, 64 outstanding.
"""
import asyncio
import concurrent.futures
import json
import statistics
import sys
import time

OUTSTANDING = 64


def nothing():
    pass


async def one_at_a_time(executor, count):
    loop = asyncio.get_running_loop()
    spans = []
    for _ in range(count):
        began = time.perf_counter_ns()
        await loop.run_in_executor(executor, nothing)
        spans.append(time.perf_counter_ns() - began)
    return {"p50_us": statistics.median(spans) / 1e3}


async def many(executor, count):
    loop = asyncio.get_running_loop()

    async def ask(times):
        for _ in range(times):
            await loop.run_in_executor(executor, nothing)

    began = time.perf_counter()
    await asyncio.gather(*(ask(count // OUTSTANDING) for _ in range(OUTSTANDING)))
    return {"per_s": count // OUTSTANDING * OUTSTANDING / (time.perf_counter() - began)}


def main():
    kind, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    kinds = {"threads": concurrent.futures.ThreadPoolExecutor, "processes": concurrent.futures.ProcessPoolExecutor}
    with kinds[kind](2) as executor:
        measure = one_at_a_time if how == "one" else many
        asyncio.run(measure(executor, 2 * OUTSTANDING))  # workers are started, code is warm
        print(json.dumps(asyncio.run(measure(executor, count))))


if __name__ == "__main__":
    main()
