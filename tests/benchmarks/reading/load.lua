-- For wrk: the requests of a file in turn, each made once beforehand, so that asking costs next to nothing.
-- Arguments: a file of headers, one `name: value` a line, and a file of bodies, one a line; a line that begins with a slash is an address to GET.

local requests, turn = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local name, value = line:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  for body in io.lines(arguments[2]) do
    requests[#requests + 1] = body:sub(1, 1) == "/" and wrk.format("GET", body) or wrk.format("POST", nil, nil, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local failed = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "bytes": %d, "p50": %f, "p99": %f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
