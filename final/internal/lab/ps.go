//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type psColumn struct {
	name, heading string
	width         int // negative: flush left
	value         func(p processInfo, t psTotals) string
}

// psColumns are the columns that `ps -o` knows.
var psColumns = []psColumn{
	{"pid", "PID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pid) }},
	{"ppid", "PPID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.ppid) }},
	{"pgid", "PGID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pgrp) }},
	{"pgrp", "PGRP", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.pgrp) }},
	{"sid", "SID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.session) }},
	{"tpgid", "TPGID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.foreground) }},
	{"user", "USER", -8, func(p processInfo, _ psTotals) string { return userName(p.uid) }},
	{"uid", "UID", 5, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.uid) }},
	{"stat", "STAT", -4, func(p processInfo, _ psTotals) string { return p.stat() }},
	{"s", "S", -1, func(p processInfo, _ psTotals) string { return p.state }},
	{"nlwp", "NLWP", 4, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.threads) }},
	{"ni", "NI", 3, func(p processInfo, _ psTotals) string { return strconv.Itoa(p.nice) }},
	{"vsz", "VSZ", 7, func(p processInfo, _ psTotals) string { return strconv.FormatInt(p.vsize/1024, 10) }},
	{"rss", "RSS", 6, func(p processInfo, _ psTotals) string { return strconv.FormatInt(p.rss/1024, 10) }},
	{"pcpu", "%CPU", 4, func(p processInfo, t psTotals) string { return fmt.Sprintf("%.1f", t.cpuShare(p)) }},
	{"pmem", "%MEM", 4, func(p processInfo, t psTotals) string { return fmt.Sprintf("%.1f", t.memoryShare(p)) }},
	{"tty", "TTY", -8, func(p processInfo, _ psTotals) string { return p.terminal() }},
	{"time", "TIME", 8, func(p processInfo, _ psTotals) string { return clock(p.cpu, true) }},
	{"etime", "ELAPSED", 8, func(p processInfo, t psTotals) string { return clock(t.uptime-p.start, true) }},
	{"stime", "STIME", -5, func(p processInfo, t psTotals) string { return t.started(p) }},
	{"start", "START", -5, func(p processInfo, t psTotals) string { return t.started(p) }},
	{"comm", "COMMAND", -15, func(p processInfo, _ psTotals) string { return p.comm }},
	{"args", "COMMAND", -27, func(p processInfo, _ psTotals) string { return p.args }},
	{"cmd", "CMD", -27, func(p processInfo, _ psTotals) string { return p.args }},
}

var psAliases = map[string]string{"command": "args", "ucmd": "comm", "%cpu": "pcpu", "%mem": "pmem", "state": "s",
	"tname": "tty", "tt": "tty", "thcount": "nlwp", "nice": "ni", "vsize": "vsz", "rssize": "rss", "euser": "user",
	"cputime": "time", "sess": "sid", "c": "pcpu"}

// psTotals is what the shares are of.
type psTotals struct {
	uptime time.Duration
	memory int64
}

func readTotals() psTotals {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return psTotals{}
	}
	return psTotals{uptime: time.Duration(info.Uptime) * time.Second, memory: int64(info.Totalram) * int64(info.Unit)}
}

func (t psTotals) cpuShare(p processInfo) float64 {
	if lived := t.uptime - p.start; lived > 0 {
		return min(100*float64(p.cpu)/float64(lived), 999)
	}
	return 0
}

func (t psTotals) memoryShare(p processInfo) float64 {
	if t.memory == 0 {
		return 0
	}
	return 100 * float64(p.rss) / float64(t.memory)
}

func (t psTotals) started(p processInfo) string {
	at := time.Now().Add(p.start - t.uptime)
	if time.Since(at) > 24*time.Hour {
		return at.Format("Jan02")
	}
	return at.Format("15:04")
}

// psForm is a set of columns with headings; "=" in -o empties the heading.
type psForm []struct{ column, heading string }

func psFormOf(columns string) (psForm, error) {
	var form psForm
	for spec := range strings.SplitSeq(strings.ReplaceAll(columns, " ", ","), ",") {
		name, heading, renamed := strings.Cut(spec, "=")
		if alias, ok := psAliases[name]; ok {
			name = alias
		}
		at := slices.IndexFunc(psColumns, func(c psColumn) bool { return c.name == name })
		if at < 0 {
			return nil, usagef("unknown column %q", spec)
		}
		if !renamed {
			heading = psColumns[at].heading
		}
		form = append(form, struct{ column, heading string }{name, heading})
	}
	return form, nil
}

// psRequest is what the command line of ps asks for.
type psRequest struct {
	columns     string
	chosen      []string // -o
	pids, users string   // lists with commas; "" for both is everything
}

// psForms are the columns for the letters of BSD's and System V's options; the first one that is given counts.
var psForms = []struct{ letter, columns string }{
	{"u", "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,time,args"},
	{"f", "user=UID,pid,ppid,pcpu=C,stime,tty,time,cmd"},
	{"l", "stat,uid,pid,ppid,ni,vsz,rss,tty,time,cmd"},
	{"j", "pid,pgid,sid,tty,time,cmd"},
	{"x", "pid,tty,stat,time,args"},
}

func parsePs(args []string) (psRequest, error) {
	r := psRequest{columns: "pid,user,time,args"}
	into := map[string]func(string){
		"-o": func(v string) { r.chosen = append(r.chosen, v) },
		"-p": func(v string) { r.pids = v }, "--pid": func(v string) { r.pids = v },
		"-u": func(v string) { r.users = v },
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if option, value, ok := strings.Cut(arg, "="); ok && option == "--pid" {
			r.pids = value
			continue
		}
		if strings.HasPrefix(arg, "-o") && len(arg) > 2 {
			r.chosen = append(r.chosen, arg[2:])
			continue
		}
		if set, ok := into[arg]; ok {
			if len(args) == 0 {
				return r, usagef("option '%s' needs a value", arg)
			}
			set(args[0])
			args = args[1:]
			continue
		}
		letters := strings.TrimPrefix(arg, "-")
		if _, err := strconv.Atoi(letters); err == nil {
			r.pids = letters
			continue
		}
		if strings.Trim(letters, "auxfwelTALjH") != "" {
			return r, usagef("unrecognized option '%s'", arg)
		}
		for _, form := range psForms {
			if strings.Contains(letters, form.letter) {
				r.columns = form.columns
				break
			}
		}
	}
	if len(r.chosen) > 0 {
		r.columns = strings.Join(r.chosen, ",")
	}
	return r, nil
}

func (r psRequest) wants(p processInfo) bool {
	return r.pids == "" && r.users == "" ||
		slices.Contains(strings.Split(r.pids, ","), strconv.Itoa(p.pid)) ||
		slices.Contains(strings.Split(r.users, ","), userName(p.uid))
}

func runPs(c *call) error {
	request, err := parsePs(c.args)
	if err != nil {
		return err
	}
	form, err := psFormOf(request.columns)
	if err != nil {
		return err
	}
	all, err := readProcesses()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p processInfo) bool { return !request.wants(p) })
	form.print(c, all)
	if len(all) == 0 {
		return exitCode(1)
	}
	return nil
}

func (form psForm) print(c *call, all []processInfo) {
	totals := readTotals()
	rows := [][]string{{}}
	headed := false
	for _, f := range form {
		rows[0] = append(rows[0], f.heading)
		headed = headed || f.heading != ""
	}
	for _, p := range all {
		var row []string
		for _, f := range form {
			for _, col := range psColumns {
				if col.name == f.column {
					row = append(row, col.value(p, totals))
				}
			}
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(form))
	for i, f := range form {
		for _, col := range psColumns {
			if col.name == f.column {
				widths[i] = col.width
			}
		}
		for _, row := range rows {
			if w := len(row[i]); widths[i] < 0 {
				widths[i] = min(widths[i], -w)
			} else {
				widths[i] = max(widths[i], w)
			}
		}
	}
	for n, row := range rows {
		if n == 0 && !headed {
			continue
		}
		var line strings.Builder
		for i, cell := range row {
			if i == len(row)-1 && widths[i] < 0 {
				widths[i] = 0
			}
			fmt.Fprintf(&line, "%*s ", widths[i], cell)
		}
		c.println(strings.TrimSuffix(line.String(), " "))
	}
}
