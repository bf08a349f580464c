"""Figures: samples, how they are told, and whether they hold a bar.

A figure is a median with minimum and maximum. A ratio is of pairs measured one right after the other, so that what else the machine
does at the time touches both. Of few and noisy samples a median can lie on either side of a bar by luck alone; so a
bar is *missed* only if the whole interval in which the true median lies, with at least 90 % confidence, is beyond it (the sign
test's interval, which assumes nothing about the noise). Otherwise a median beyond the bar is *at the line*.
"""
import math
import statistics

HELD, AT_THE_LINE, MISSED = "holds", "at the line", "MISSED"


def interval(samples):
    """Where the true median is, with 90 % confidence or more; for fewer than five samples, the whole range."""
    ordered = sorted(samples)
    n = len(ordered)
    outside = 0.0
    cut = 0
    while cut < (n - 1) // 2:
        outside += 2 * math.comb(n, cut) / 2**n
        if outside > 0.10:
            break
        cut += 1
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[n - 1 - cut]


def number(value):
    if value != 0 and abs(value) < 10:
        return "%.3f" % value
    return "{:,.0f}".format(value) if abs(value) >= 1000 else "%.1f" % value


class Bar:
    """A bound on a figure, from above or from below: `Bar("<=", 1.0)`."""

    def __init__(self, sign, value, unit=""):
        self.sign, self.value, self.unit = sign, value, unit

    def __str__(self):
        return "%s %s" % (self.sign, " ".join([number(self.value), self.unit]).strip())

    def _within(self, value):
        return value <= self.value if self.sign == "<=" else value >= self.value

    def verdict(self, samples):
        if self._within(statistics.median(samples)):
            return HELD
        low, high = interval(samples)
        return AT_THE_LINE if self._within(low) or self._within(high) else MISSED


class Report:
    """Prints figures as they come, and remembers how the bars fared."""

    def __init__(self, bars):
        self.bars = bars
        self.verdicts = []
        self.unused = set(bars)

    def title(self, text):
        print("\n%s" % text, flush=True)

    def note(self, text):
        print("  %s" % text, flush=True)

    def figure(self, name, samples, unit="", bar=None):
        """One line: median, spread, and the verdict on BARS[bar]."""
        line = "  %-52s %10s %-9s (%s .. %s, %d)" % (
            name, number(statistics.median(samples)), unit, number(min(samples)), number(max(samples)), len(samples))
        if bar:
            self.unused.discard(bar)
            verdict = self.bars[bar].verdict(samples)
            self.verdicts.append((verdict, bar, name, statistics.median(samples)))
            line += "  %s: %s" % (self.bars[bar], verdict)
        print(line, flush=True)

    def ratio(self, name, ours, theirs, bar=None):
        self.figure(name, [a / b for a, b in zip(ours, theirs) if b], "x", bar)

    def end(self):
        """Tells of all bars that do not simply hold; True if none is missed."""
        self.title("%d bars held, %d at the line, %d missed" % tuple(
            sum(v[0] == kind for v in self.verdicts) for kind in (HELD, AT_THE_LINE, MISSED)))
        for verdict, bar, name, median in self.verdicts:
            if verdict != HELD:
                self.note("%s: %s: %s is %s, not %s" % (verdict, bar, name, number(median), self.bars[bar]))
        return all(v[0] != MISSED for v in self.verdicts)
