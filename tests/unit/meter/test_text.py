"""A meter's text, read with Prometheus' own Python client. WEIR_METER_SAMPLE prints it: meter_sample.c."""
import os
import subprocess

import pytest

parser = pytest.importorskip("prometheus_client.parser")

ODD = {"path": '/a"b\\c\nd'}


@pytest.fixture(scope="module")
def families():
    sample = os.environ["WEIR_METER_SAMPLE"]
    text = subprocess.run([sample], stdout=subprocess.PIPE, check=True, timeout=30).stdout.decode()
    return list(parser.text_string_to_metric_families(text))


def test_families_are_told_in_order(families):
    assert [(f.name, f.type) for f in families] == [
        ("weir_requests", "counter"),
        ("weir_open", "gauge"),
        ("weir_took_seconds", "histogram"),
    ]


def test_texts_survive(families):
    assert families[0].documentation == "With \\ and\nlines."
    (sample,) = families[0].samples
    assert sample.labels == {**ODD, "wrong": "\ufffd", "empty": ""}
    assert sample.value == 2.0**53


def test_gauges(families):
    assert [(s.labels, s.value) for s in families[1].samples] == [({}, -3), (ODD, 0.5)]


def test_histograms(families):
    spans = [10**power for power in range(15)]
    samples = families[2].samples
    buckets = [s for s in samples if s.name.endswith("_bucket")]
    assert len(buckets) == 23 and buckets[-1].labels["le"] == "+Inf"
    for bucket in buckets:
        bound_ns = float(bucket.labels["le"]) * 1e9 * (1 + 1e-12)
        assert bucket.value == sum(span <= bound_ns for span in spans)
    values = {s.name: s.value for s in samples if "le" not in s.labels}
    assert values["weir_took_seconds_count"] == 15
    assert values["weir_took_seconds_sum"] == pytest.approx(sum(spans) / 1e9, rel=1e-12)
