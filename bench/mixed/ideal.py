"""What nobody can beat: a queue with so many servers that lose no time, first come, first served; and arrivals to feed it with."""
import heapq
import random


def poisson(seed, rate, seconds, begin=0.0):
    """Times of arrivals that know nothing of each other, `rate` a second."""
    draw = random.Random(seed)
    times, now = [], begin
    while (now := now + draw.expovariate(rate)) < begin + seconds:
        times.append(now)
    return times


def steady(rate, seconds, begin=0.0):
    return [begin + nth / rate for nth in range(int(rate * seconds))]


def latencies(arrivals, services, servers=2):
    """From each arrival to the end of its service; arrivals in their order, with a service time each."""
    free = [0.0] * servers
    found = []
    for arrival, service in zip(arrivals, services, strict=True):
        begin = max(arrival, heapq.heappop(free))
        heapq.heappush(free, begin + service)
        found.append(begin + service - arrival)
    return found


def percentile(samples, p):
    """As the load client counts it."""
    return sorted(samples)[int(p * (len(samples) - 1))]
