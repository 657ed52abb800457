-- wrk: one request again and again. load.lua -- FILE HEADER...; headers are `Name: value`. Prints one line of JSON at the end.
-- wrk formats the request once, after this, with its own Host.
function init(args)
    local file = assert(io.open(args[1], "rb"))
    wrk.method = "POST"
    wrk.body = file:read("*a")
    file:close()
    for index = 2, #args do
        local name, value = args[index]:match("^(.-): (.*)$")
        wrk.headers[name] = value
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"seconds":%.6f,"bytes":%d,"p50_us":%d,"p99_us":%d,"trouble":%d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
