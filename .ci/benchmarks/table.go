package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are the values of each metric of each benchmark, one for each time it ran.
type results map[metric][]float64

// metric is one of a benchmark's.
type metric struct{ benchmark, unit string }

// line is a result as package testing prints it: the name, with GOMAXPROCS, how often it
// ran, and values with their units.
var line = regexp.MustCompile(`^(Benchmark\S*?)(?:-\d+)?\s+\d+\s+(\S.*)$`)

// parse reads a line of a package's benchmarks, which may be anything.
func (r results) parse(name, text string) {
	found := line.FindStringSubmatch(text)
	if found == nil {
		return
	}
	for pair := range slices.Chunk(strings.Fields(found[2]), 2) {
		if len(pair) < 2 {
			continue
		}
		if value, err := strconv.ParseFloat(pair[0], 64); err == nil {
			m := metric{name + "." + found[1], pair[1]}
			r[m] = append(r[m], value)
		}
	}
}

// sorted lists the metrics by benchmark and unit.
func (r results) sorted() []metric {
	return slices.SortedFunc(maps.Keys(r), func(a, b metric) int {
		if order := strings.Compare(a.benchmark, b.benchmark); order != 0 {
			return order
		}
		return strings.Compare(a.unit, b.unit)
	})
}

// value is the median of a metric.
func (r results) value(m metric) float64 {
	values := slices.Sorted(slices.Values(r[m]))
	return values[len(values)/2]
}

// writeReport writes the table of targets, and a list of what else was measured. Targets
// that nothing was measured for have a row where everything was to run.
func writeReport(w io.Writer, measured results, everything bool) {
	fmt.Fprint(w, "| what | benchmark | target | measured | |\n|---|---|---|---|---|\n")
	used := map[metric]bool{}
	for _, t := range targets {
		bound := "at most "
		if t.atLeast {
			bound = "at least "
		}
		bound += number(t.value) + " `" + t.unit + "`"
		any := false
		for _, m := range measured.sorted() {
			if m.unit != t.unit || !t.name.MatchString(m.benchmark) {
				continue
			}
			any, used[m] = true, true
			verdict := "**NOT met**"
			if t.met(measured.value(m)) {
				verdict = "met"
			}
			fmt.Fprintf(w, "| %s | `%s` | %s | %s | %s |\n", t.what, m.benchmark, bound, number(measured.value(m)), verdict)
		}
		if !any && everything {
			fmt.Fprintf(w, "| %s | | %s | | not measured |\n", t.what, bound)
		}
	}
	fmt.Fprint(w, "\nBesides:\n\n| benchmark | |\n|---|---|\n")
	others := map[string][]string{}
	for _, m := range measured.sorted() {
		if !used[m] {
			others[m.benchmark] = append(others[m.benchmark], number(measured.value(m))+" "+m.unit)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		fmt.Fprintf(w, "| `%s` | %s |\n", name, strings.Join(others[name], ", "))
	}
}

// number writes a value with four digits that say something.
func number(value float64) string {
	if value >= 1000 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}
