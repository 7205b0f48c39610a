//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// stats shows a table of all running containers: live on a terminal, once elsewhere.
func stats(args []string) int {
	if len(args) > 0 {
		fmt.Fprintf(os.Stderr, "%s: stats: %q: it takes no arguments, it shows all\n", program, args[0])
		return exitFailure
	}
	if os.Geteuid() != 0 { // the containers' directories are root's
		fmt.Fprintf(os.Stderr, "%s: must be root, so: go run -exec sudo ./%[1]s stats\n", program)
		return exitFailure
	}
	_, err := unix.IoctlGetTermios(1, unix.TCGETS)
	live := err == nil
	for before := takeAll(); ; {
		time.Sleep(time.Second) // shares of time need two moments
		now := takeAll()
		if live {
			fmt.Print("\x1b[H\x1b[2J") // home, clear
		}
		if err := writeTable(os.Stdout, before, now); err != nil || !live {
			return 0
		}
		before = now
	}
}

// moment is when a sample was taken.
type moment struct {
	sample
	at time.Time
}

// takeAll samples every container that has a directory, by id.
func takeAll() map[string]moment {
	all := map[string]moment{}
	dirs, _ := filepath.Glob(stateDir + "/????????????")
	for _, dir := range dirs {
		id := filepath.Base(dir)
		g, err := openCgroup(id)
		if err != nil {
			continue // it has just begun, or just ended
		}
		all[id] = moment{g.read(), time.Now()}
		g.dir.Close()
	}
	return all
}

// writeTable shows what happened between two moments, and what is used now.
func writeTable(w io.Writer, before, now map[string]moment) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CONTAINER\tCPU\tTHROTTLED\tMEMORY / LIMIT\tTHREADS / LIMIT\tDISK READ / WRITTEN\tNET IN / OUT")
	for _, id := range slices.Sorted(maps.Keys(now)) {
		a, b := before[id], now[id]
		if a.at.IsZero() {
			continue // it began in between
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s / %s\t%s / %s\t%s\t%s\n", id,
			percent(b.CPU.Usage-a.CPU.Usage, b.at.Sub(a.at).Seconds()),
			percent(b.CPU.ThrottledPeriods-a.CPU.ThrottledPeriods, b.CPU.Periods-a.CPU.Periods),
			size(b.Memory.Usage), size(b.Memory.Limit), count(b.PIDs.Current), count(b.PIDs.Limit),
			total(b.IO), total(b.Net))
	}
	return table.Flush()
}

func percent(part, whole float64) string {
	if math.IsNaN(part) || whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*part/whole)
}

func count(n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	return fmt.Sprintf("%.0f", n)
}

// size is a number of bytes for people, in powers of 1024 as the limits are given.
func size(n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	units := []string{"", "K", "M", "G", "T"}
	for n >= 1024 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return fmt.Sprintf("%.3g%s", n, units[0])
}

func total(transfers map[string]transfer) string {
	var in, out float64
	for _, t := range transfers {
		in, out = in+t.InBytes, out+t.OutBytes
	}
	return size(in) + " / " + size(out)
}
