-- wrk: PUTs of 4 KiB, each to a name of its own in the container "bench".
local body = string.rep("0123456789abcdef", 256)
local thread_count = 0
local count = 0

function setup(thread)
	thread:set("id", thread_count)
	thread_count = thread_count + 1
end

function request()
	count = count + 1
	return wrk.format("PUT", "/v1/AUTH_test/bench/object-" .. id .. "-" .. count, nil, body)
end

function response(status)
	if status ~= 201 then
		print("status " .. status)
	end
end
