#!/usr/bin/env python3
"""Shows that the ideal queue is one: its bars would be too easy, or out of reach, if it were not."""
import random
import statistics
import unittest

import ideal


class TheIdealQueue(unittest.TestCase):
    def expect(self, arrivals, services, latencies, servers=2):
        for found, right in zip(ideal.latencies(arrivals, services, servers), latencies, strict=True):
            self.assertAlmostEqual(found, right)

    def test_who_finds_a_free_server_waits_for_nobody(self):
        self.expect([0, 1, 10], [3, 3, 3], [3, 3, 3])

    def test_the_third_of_three_waits_for_the_first_end(self):
        self.expect([0, 0, 0], [3, 3, 3], [3, 3, 6])
        self.expect([0, 1, 2], [10, 2, 1], [10, 2, 2])

    def test_first_come_first_served_even_if_a_later_one_is_shorter(self):
        self.expect([0, 0, 1, 2], [4, 6, 9, 1], [4, 6, 12, 5])

    def test_one_server(self):
        self.expect([0, 0, 5], [2, 2, 2], [2, 4, 2], servers=1)

    def test_every_arrival_needs_a_service(self):
        with self.assertRaises(ValueError):
            ideal.latencies([0, 1], [1])

    def test_no_work_is_lost_and_no_server_rests_while_one_waits(self):
        draw = random.Random(7)
        arrivals = ideal.poisson(7, 50, 100)
        services = [draw.uniform(0, 0.07) for _ in arrivals]
        ends = [a + l for a, l in zip(arrivals, ideal.latencies(arrivals, services))]
        for nth, arrival in enumerate(arrivals):
            begin = ends[nth] - services[nth]
            if begin > arrival + 1e-9:  # it waited: then two others run until it begins
                running = sum(ends[i] - services[i] < begin - 1e-9 and ends[i] > begin - 1e-9 for i in range(nth))
                self.assertGreaterEqual(running, 1)
                self.assertTrue(any(abs(ends[i] - begin) < 1e-9 for i in range(nth)))

    def test_waits_are_those_of_the_theory(self):
        """M/M/2 at three quarters: the mean time in it is 1 / (1 - 0.75^2) services."""
        draw = random.Random(1)
        arrivals = ideal.poisson(2, 1.5, 200000)
        mean = statistics.mean(ideal.latencies(arrivals, [draw.expovariate(1) for _ in arrivals]))
        self.assertAlmostEqual(mean, 1 / (1 - 0.75**2), delta=0.08)


class TheArrivals(unittest.TestCase):
    def test_a_seed_replays_them(self):
        self.assertEqual(ideal.poisson(3, 50, 10), ideal.poisson(3, 50, 10))
        self.assertNotEqual(ideal.poisson(3, 50, 10), ideal.poisson(4, 50, 10))

    def test_their_rate_and_spread(self):
        times = ideal.poisson(5, 50, 1000, begin=3)
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertTrue(3 <= times[0] and times[-1] < 1003)
        self.assertAlmostEqual(len(times) / 1000, 50, delta=1)
        self.assertAlmostEqual(statistics.stdev(gaps) / statistics.mean(gaps), 1, delta=0.02)

    def test_steady_ones(self):
        self.assertEqual(ideal.steady(4, 1, begin=2), [2, 2.25, 2.5, 2.75])


class Percentiles(unittest.TestCase):
    def test_of_a_hundred_and_one(self):
        samples = list(range(101))
        random.Random(0).shuffle(samples)
        self.assertEqual((ideal.percentile(samples, 0), ideal.percentile(samples, 0.99), ideal.percentile(samples, 1)), (0, 99, 100))


if __name__ == "__main__":
    unittest.main()
