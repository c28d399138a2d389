-- Prints wrk's results as JSON on one line. wrk calls this only at its end, not while it sends.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'crosscheck {"requests":%d,"duration_us":%d,"mean_us":%.3f,"max_us":%d,' ..
    '"p50_us":%d,"p90_us":%d,"p95_us":%d,"p99_us":%d,"p999_us":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, latency.mean, latency.max,
    latency:percentile(50), latency:percentile(90), latency:percentile(95),
    latency:percentile(99), latency:percentile(99.9),
    e.connect, e.read, e.write, e.status, e.timeout))
end
