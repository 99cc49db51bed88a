package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	measured := results{}
	for text := range strings.Lines(`goos: linux
BenchmarkStart/sqlite-2         	       2	 803483924 ns/op	        22.10 empty-ms	         1.157 x-of-empty
BenchmarkStart/sqlite-2         	       2	 803483924 ns/op	        24.10 empty-ms	         1.3 x-of-empty
BenchmarkStart/sqlite-2         	       2	 803483924 ns/op	        25.10 empty-ms	         1.1 x-of-empty
BenchmarkStart/postgres 	       1	1349302305 ns/op	         1.204 x-of-empty
BenchmarkStarter-2 	       1	1349302305 ns/op	         9 x-of-empty
Benchmark has begun
PASS
`) {
		measured.parse("integration", strings.TrimSuffix(text, "\n"))
	}
	var report strings.Builder
	writeReport(&report, measured, false)
	const what = "| From the start to the first answer, 1,000,000 portals and 100,000 users against none "
	const want = "| what | benchmark | target | measured | |\n|---|---|---|---|---|\n" +
		what + "| `integration.BenchmarkStart/postgres` | at most 1.2 `x-of-empty` | 1.204 | **NOT met** |\n" +
		what + "| `integration.BenchmarkStart/sqlite` | at most 1.2 `x-of-empty` | 1.157 | met |\n" +
		"\nBesides:\n\n| benchmark | |\n|---|---|\n" +
		"| `integration.BenchmarkStart/postgres` | 1349302305 ns/op |\n" +
		"| `integration.BenchmarkStart/sqlite` | 24.1 empty-ms, 803483924 ns/op |\n" +
		"| `integration.BenchmarkStarter` | 1349302305 ns/op, 9 x-of-empty |\n"
	if report.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &report, want)
	}
}

func TestLimits(t *testing.T) {
	for value, want := range map[float64][2]bool{0.8: {true, false}, 1: {true, true}, 1.5: {false, true}} {
		if got := [2]bool{atMost(1).met(value), atLeast(1).met(value)}; got != want {
			t.Errorf("%v: got %v, want %v", value, got, want)
		}
	}
}
