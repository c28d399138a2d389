"""Compares stored histograms with what Python's hdrhistogram reads; see scripts/hlogcheck."""

import base64
import json
import struct
import sys
import zlib

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

POINTS = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
V2_COMPRESSED = 0x1C849314


class Compared:
    """Counts equal values, and prints different ones."""

    def __init__(self):
        self.equal = 0
        self.different = 0

    def check(self, what, read, stored):
        if read == stored:
            self.equal += 1
        else:
            self.different += 1
            print(f"hlogcheck: {what}: Python reads {read}, the harness says {stored}")


def at(histogram, point):
    if point == "max":
        return histogram.get_highest_equivalent_value(histogram.get_max_value())
    return histogram.get_value_at_percentile(POINTS[point])


def interval_log(compared, log, drive):
    """Intervals have no tag and add up; a tagged histogram covers the whole measured time."""
    reader = HistogramLogReader(log, HdrHistogram(1, 3_600_000_000_000, 3))
    in_intervals, tags = 0, {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        if tag := histogram.get_tag():
            tags[tag] = histogram
        else:
            in_intervals += histogram.get_total_count()
    compared.check("requests in the intervals", in_intervals, drive["requests"])
    for tag in ("latency", "wire", "first_byte"):
        stored, histogram = drive[f"{tag}_ns"], tags[tag]
        compared.check(f"{tag} count", histogram.get_total_count(), drive["requests"])
        for point in ("p50", "p99", "p999", "max"):
            compared.check(f"{tag} {point}", at(histogram, point), stored[point])
    connections = drive["connections"] + drive["reconnects"]
    compared.check("connect count", tags["connect"].get_total_count(), connections)
    return len(tags)


def of_record(stored):
    """run.sqlite and record.json hold plain V2; this package reads compressed V2."""
    deflated = zlib.compress(base64.b64decode(stored))
    header = struct.pack(">II", V2_COMPRESSED, len(deflated))
    return HdrHistogram.decode(base64.b64encode(header + deflated))


def in_us(figure):
    """A stored figure in microseconds, converted back to nanoseconds."""
    return round(figure * 1000)


def record(compared, run):
    read = 0
    for trial in run["trials"]:
        where = " ".join(str(trial[k]) for k in ("round", "server", "workload", "stage"))
        figures = trial["figures"]
        for name, stored in trial["histograms"].items():
            histogram = of_record(stored)
            read += 1
            if name in ("latency", "wire", "first_byte") and not trial["errors"]:
                count = histogram.get_total_count()
                compared.check(f"{where}: {name} count", count, figures["requests"])
            for point in ("p50", "p99", "p999", "max"):
                figure = figures.get(f"{name}_{point}_us")
                if figure is not None:
                    value = rank(histogram, point)
                    compared.check(f"{where}: {name} {point}", value, in_us(figure))
    return read


def rank(histogram, point):
    """The value whose rank is rounded up, as in the reference implementation; this package rounds
    to the nearest instead."""
    if point == "max":
        return at(histogram, "max")
    total = histogram.get_total_count()
    wanted, seen = -(-total * round(POINTS[point] * 10) // 1000), 0
    for index in range(histogram.counts_len):
        seen += histogram.get_count_at_index(index)
        if seen >= wanted:
            return histogram.get_highest_equivalent_value(histogram.get_value_from_index(index))
    return 0


def main():
    log, drive, run = sys.argv[1:]
    compared = Compared()
    with open(drive, encoding="utf-8") as file:
        tags = interval_log(compared, log, json.load(file))
    with open(run, encoding="utf-8") as file:
        histograms = record(compared, json.load(file))
    print(
        f"hlogcheck: an interval log with {tags} tags and {histograms} histograms of a record: "
        f"{compared.equal} figures equal, {compared.different} different"
    )
    sys.exit(compared.different > 0)


main()
