package main

import (
	"context"
	"encoding/csv"
	"flag"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write what is measured to "+gateFile)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // some libraries log forged cookies
	flag.Parse()
	if flag.Arg(0) == serveCommand { // see startServer
		s := &servers{valkey: os.Getenv("VALKEY_ADDR"), postgresql: os.Getenv("POSTGRESQL_URL")}
		if err := serve(context.Background(), s, flag.Arg(1)); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// testServers are those that the environment names.
func testServers(t testing.TB) *servers {
	t.Helper()
	s := &servers{valkey: os.Getenv("VALKEY_ADDR"), mongo: os.Getenv("MONGODB_URI"), postgresql: os.Getenv("POSTGRESQL_URL")}
	if (s.valkey == "" || s.mongo == "" || s.postgresql == "") && os.Getenv("CI") != "" {
		t.Fatal("NO SERVER: VALKEY_ADDR, MONGODB_URI or POSTGRESQL_URL is not set, so this was not tested")
	}
	return s
}

func TestSubjectsAnswerRightly(t *testing.T) {
	s := testServers(t)
	for _, sub := range subjects() {
		t.Run(sub.where(), func(t *testing.T) {
			if !s.has(sub.store) {
				t.Skip("NO SERVER, so this was not tested")
			}
			a, err := sub.open(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			for _, w := range slices.Concat(workloads, ofUsers) {
				if !w.suits(sub) {
					continue
				}
				if err := check(sub, a, w); err != nil {
					t.Errorf("%s: %v", w.name, err)
				}
			}
		})
	}
}

// The gate: what a request with Cloakroom may cost, of what can be counted
// exactly. It is one line for each subject in gateFile, which
//
//	make bench-gate GATE=-update
//
// writes anew where there is a reason. Times are no gate: they depend on the
// machine and on who else uses it.
const gateFile = "gate.csv"

// gate compares the costs of some subjects, by their lines in gateFile, with
// what these lines allow.
func gate(t *testing.T, what string, costs map[string]map[string]int) {
	t.Helper()
	lines := readGate(t)
	if *update {
		maps.Copy(lines, costs)
		writeGate(t, lines)
		return
	}
	for _, line := range slices.Sorted(maps.Keys(costs)) {
		for _, w := range columns() {
			got, measured := costs[line][w.name]
			want, known := lines[line][w.name]
			switch {
			case !measured:
			case !known:
				t.Errorf("%s, %s: %d %s, and %s says nothing about it", line, w.name, got, what, gateFile)
			case got > want:
				t.Errorf("%s, %s: %d %s, want at most %d", line, w.name, got, what, want)
			case got < want:
				t.Logf("%s, %s: %d %s, less than the %d allowed: time to update %s", line, w.name, got, what, want, gateFile)
			}
		}
	}
}

// line is how the line of a subject begins.
func line(what string, s subject) string {
	return strings.Join([]string{what, s.library, s.on, s.store}, "|")
}

// columns are what the lines of the gate tell about.
func columns() []workload { return append(slices.Concat(workloads, ofUsers), manySessions) }

// gated lists the subjects that the gate is about.
func gated(s *servers) (list []subject) {
	for _, sub := range subjects() {
		if sub.ours() && s.has(sub.store) {
			list = append(list, sub)
		}
	}
	return list
}

func readGate(t *testing.T) map[string]map[string]int {
	t.Helper()
	f, err := os.Open(gateFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]map[string]int)
	for _, row := range rows[1:] {
		costs := make(map[string]int)
		for i, cell := range row[4:] {
			if cell == "" {
				continue
			}
			if costs[rows[0][4+i]], err = strconv.Atoi(cell); err != nil {
				t.Fatal(err)
			}
		}
		lines[strings.Join(row[:4], "|")] = costs
	}
	return lines
}

func writeGate(t *testing.T, lines map[string]map[string]int) {
	t.Helper()
	f, err := os.Create(gateFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	header := []string{"what", "library", "framework", "store"}
	for _, work := range columns() {
		header = append(header, work.name)
	}
	rows := [][]string{header}
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		row := strings.Split(key, "|")
		for _, work := range columns() {
			cell := ""
			if n, measured := lines[key][work.name]; measured {
				cell = strconv.Itoa(n)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
}

func TestGateRoundTrips(t *testing.T) {
	var (
		s     = testServers(t)
		costs = make(map[string]map[string]int)
		mu    sync.Mutex
		all   sync.WaitGroup
		lines = readGate(t)
	)
	if *update {
		lines = nil
	}
	for _, sub := range gated(s) {
		if sub.store == memory || sub.store == sqliteS {
			continue
		}
		all.Go(func() { // it is waiting that takes the time
			trips, err := countTrips(t.Context(), s, sub, workloads, lines[line("round trips", sub)])
			if err != nil {
				t.Errorf("%s: %v", sub.where(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			costs[line("round trips", sub)] = make(map[string]int)
			for name, c := range trips {
				costs[line("round trips", sub)][name] = c.trips
			}
		})
	}
	all.Wait()
	gate(t, "round trips", costs)
}
