-- wrk, one line more: requests a second, and the time in microseconds in which so many percent were
-- answered (PERCENTILE in the environment).
function done(summary, latency)
	local percentile = tonumber(os.getenv("PERCENTILE") or 99)
	io.write(string.format("answered %.1f %d\n", summary.requests * 1e6 / summary.duration,
		latency:percentile(percentile)))
end
