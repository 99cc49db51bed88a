package main

import "regexp"

// target is what benchmarks have to reach: one row of the table for each benchmark that
// has the name and reports the metric.
type target struct {
	what string
	name *regexp.Regexp // with the package's folder, as in telegram.BenchmarkChats/first
	unit string
	limit
}

// limit is the largest value that is good enough, or the smallest one.
type limit struct {
	value   float64
	atLeast bool
}

func atMost(value float64) limit  { return limit{value: value} }
func atLeast(value float64) limit { return limit{value: value, atLeast: true} }

func (l limit) met(value float64) bool {
	if l.atLeast {
		return value >= l.value
	}
	return value <= l.value
}

// targets are the rows, in their order. A metric that none of them names is listed below
// the table.
var targets = []target{
	{"Requests a second, of those of a bare handler, in memory", named(`provisioning\.BenchmarkRequests`), "of-bare", atLeast(0.85)},
	{"Allocations of a request above those of a bare handler, in memory", named(`provisioning\.BenchmarkRequests`), "allocs-above", atMost(10)},
	{"Requests a second, of those of a bare handler, on a database", named(`integration\.BenchmarkDatabaseRequests`), "of-bare", atLeast(0.85)},
	{"The same, with the access log collected for a tenth of a second", named(`integration\.BenchmarkBufferedLog`), "of-bare", atLeast(0.85)},
	{"Allocations of a request above those of a bare handler, on a database", named(`integration\.BenchmarkDatabaseRequests`), "allocs-above", atMost(10)},
	{"Requests a second on a bridge of bridgev2, of those of whoami of its own API", named(`examples/bridgev2\.BenchmarkBesideV3/(get_bridge|get_me|get_portal/hit)`), "of-whoami", atLeast(1)},
	{"The same, of a room that is no portal", named(`examples/bridgev2\.BenchmarkBesideV3/get_portal/miss`), "of-whoami", atLeast(0.6)},

	{"Round trips to Telegram, one after the other, above those that the promise needs", named(`(integration|examples/bridgev2)\.BenchmarkRoundTrips`), "T-above", atMost(1)},
	{"Round trips to the homeserver, one after the other, above those that the promise needs", named(`(integration|examples/bridgev2)\.BenchmarkRoundTrips`), "M-above", atMost(1)},

	{"From the start to the first answer, 1,000,000 portals and 100,000 users against none", named(`integration\.BenchmarkStart`), "x-of-empty", atMost(1.2)},
	{"A lookup among 1,000,000 portals and 100,000 users against 1,000 and 100", named(`integration\.BenchmarkLookups`), "x-of-1000", atMost(1.2)},
	{"Heap for 100,000 idle users, in MB", named(`integration\.BenchmarkIdleUsers`), "MB-above-empty", atMost(10)},
	{"The first list of 10,000 chats against gotd alone paging them", named(`integration\.BenchmarkLists`), "x-of-gotd", atMost(1.1)},
	{"The next list of chats against the first one", named(`integration\.BenchmarkLists`), "chats-of-cold", atMost(0.05)},
	{"The next list of contacts against the first one", named(`integration\.BenchmarkLists`), "contacts-of-cold", atMost(0.05)},
	{"Telegram calls for the next list of chats or contacts", named(`integration\.BenchmarkLists`), "calls", atMost(1)},
	{"A login code for somebody without a connection against gotd alone", named(`integration\.BenchmarkRequestCode`), "x-of-gotd", atMost(1.1)},
	{"Processor time of a login against gotd alone", named(`integration\.BenchmarkLogin`), "cpu-of-gotd", atMost(0.35)},
	{"Memory of 1,000 connected users against 1,000 clients of gotd alone", named(`integration\.BenchmarkClientMemory`), "x-of-gotd", atMost(1.1)},
	{"A client's start with an encrypted session, up to Telegram's first answer, against one in clear", named(`integration\.BenchmarkSessionKeys`), "start-of-clear", atMost(1.3)},
	{"A look at who is logged in with an encrypted session against one in clear", named(`integration\.BenchmarkSessionKeys`), "get_me-of-clear", atMost(1.3)},
	{"The 99th percentile of answers during 100 logins and 10 lists of 10,000 chats against a quiet bridge", named(`integration\.BenchmarkBusy`), "x-of-quiet", atMost(3)},
	{"Requests that fail during them", named(`integration\.BenchmarkBusy`), "failed", atMost(0)},
}

// named matches a benchmark and what runs below it.
func named(pattern string) *regexp.Regexp { return regexp.MustCompile(`^` + pattern + `(/|$)`) }
